"""The `hotspare` command, as somebody at a terminal meets it."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import proxy
from tests.running import MODEL, ROOT, running_hotspare

pytestmark = pytest.mark.slow

FIVE_MISTAKES = """\
listen: 127.0.0.1:99999
upstreams:
  - name: cloud
    base_url: ftp://api.example.com/v1
    timeouts: {connect: 2 parsecs}
    api_key: ${NO_SUCH_VARIABLE}
local: false
limits:
  boddy: 1MiB
"""


def hotspare(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "proxy", *arguments]
    inherited = {name: value for name, value in os.environ.items() if name != "HOTSPARE_CONFIG"}
    return subprocess.run(
        command, cwd=ROOT, env=inherited | environment, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "hotspare.yaml"


def test_version_is_the_packages() -> None:
    ran = hotspare("--version")
    assert (ran.returncode, ran.stdout) == (0, f"hotspare {proxy.__version__}\n")


def test_help_names_every_command() -> None:
    ran = hotspare("--help")
    assert ran.returncode == 0
    assert all(f"\n    {command} " in ran.stdout for command in ("demo", "drill", "serve", "check", "model"))


@pytest.mark.parametrize("command", ["serve", "check"])
def test_help_of_a_command_has_an_example(command: str) -> None:
    ran = hotspare(command, "--help")
    assert ran.returncode == 0
    assert f"example: hotspare {command} --config config.example.yaml" in ran.stdout
    assert "HOTSPARE_CONFIG" in ran.stdout


@pytest.mark.parametrize("arguments", [[], ["launch"], ["serve", "--fast"]])
def test_wrong_usage_is_explained(arguments: list[str]) -> None:
    ran = hotspare(*arguments)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("usage: hotspare")
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("command", ["serve", "check"])
def test_every_mistake_of_a_configuration_is_told_with_place_and_remedy(command: str, config: Path) -> None:
    config.write_text(FIVE_MISTAKES)
    ran = hotspare(command, "--config", str(config))
    told = [line.split(": ", 2) for line in ran.stderr.splitlines()]
    assert (ran.returncode, ran.stdout) == (2, "")
    assert [(place, key) for place, key, _ in told] == [
        (f"{config}:1", "listen"),
        (f"{config}:4", "upstreams[0].base_url"),
        (f"{config}:5", "upstreams[0].timeouts.connect"),
        (f"{config}:6", "upstreams[0].api_key"),
        (f"{config}:9", "limits.boddy"),
    ]
    assert all("; " in text for _, _, text in told), "a problem, then a remedy"


def test_configuration_that_is_not_there_is_told(config: Path) -> None:
    ran = hotspare("serve", "--config", str(config))
    assert (ran.returncode, ran.stdout) == (2, "")
    remedy = "name one by --config; config.example.yaml is a start"
    assert ran.stderr == f"{config}: cannot be read: No such file or directory; {remedy}\n"


def test_configuration_may_be_named_by_the_environment(config: Path) -> None:
    config.write_text("boddy: 1")
    ran = hotspare("serve", HOTSPARE_CONFIG=str(config))
    assert ran.returncode == 2
    assert ran.stderr.startswith(f"{config}:1: boddy: ")


def test_port_in_use_is_told_with_a_remedy(config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config.write_text(
            f"listen: 127.0.0.1:{port}\nupstreams: [{{name: c, base_url: 'http://127.0.0.1:9/v1'}}]\nlocal: false"
        )
        ran = hotspare("serve", "--config", str(config))
    assert ran.returncode == 1
    assert f"hotspare: cannot listen on 127.0.0.1:{port}: " in ran.stderr
    assert "change 'listen'" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_serve_ends_well_when_asked_to(config: Path) -> None:
    config.write_text("listen: 127.0.0.1:0\nupstreams: [{name: c, base_url: 'http://127.0.0.1:9/v1'}]\nlocal: false")
    with running_hotspare(config) as base_url:
        port = int(base_url.removesuffix("/v1").rpartition(":")[2])
        socket.create_connection(("127.0.0.1", port)).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


INTERRUPTED_WHILE_IT_IS_IMPORTED = """
import os, signal, sys

class CtrlC:
    def find_spec(self, name, path, target=None):
        if name == "{package}.cli":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, CtrlC())
from {package}.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize("package", ["proxy", "models"])
def test_command_that_is_interrupted_in_its_first_moment_says_nothing(package: str) -> None:
    program = INTERRUPTED_WHILE_IT_IS_IMPORTED.format(package=package)
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(("command", "code"), [("check", 1), ("model list", 0), ("model fit", 0)])
def test_reader_who_leaves_early_is_no_reason_to_complain(
    command: str, code: int, unbuffered: str, config: Path
) -> None:
    """As in `hotspare check | head -1`; there was a traceback."""
    config.write_text("upstreams: [{name: dead, base_url: 'unix:///nowhere.sock', api_key: k}]\nlocal: false")
    read_end, write_end = os.pipe()
    os.close(read_end)
    environment = os.environ | {"HOTSPARE_CONFIG": str(config), "PYTHONUNBUFFERED": unbuffered}
    arguments = [sys.executable, "-m", "proxy", *command.split()]
    ended = subprocess.run(
        arguments, cwd=ROOT, env=environment, stdout=write_end, stderr=subprocess.PIPE, timeout=30, check=False
    )
    os.close(write_end)
    assert (ended.returncode, ended.stderr) == (code, b"")


@pytest.mark.parametrize("wrong", [("--for", "2h"), ("--for", "0"), ("--clients", "-3"), ("--share", "0%")])
def test_drill_that_makes_no_sense_is_wrong_usage(wrong: tuple[str, str]) -> None:
    ran = hotspare("drill", "--shape", "cut", "--for", "1s", "--proxy", "http://127.0.0.1:9", *wrong)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert f"argument {wrong[0]}: {wrong[1]!r} is " in ran.stderr


def test_model_list_shows_the_default_model() -> None:
    ran = hotspare("model", "list")
    assert ran.returncode == 0
    header, *rows = ran.stdout.splitlines()
    assert header.split()[0] == "NAME"
    assert any(row.split()[0] == MODEL for row in rows)


def test_wrong_usage_of_model_is_explained() -> None:
    ran = hotspare("model", "launch")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "try `hotspare model --help`" in ran.stderr
