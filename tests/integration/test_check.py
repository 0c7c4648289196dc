"""`hotspare check`: everything that the configuration names is tried, and each row says what to do."""

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes.behaviour import Behaviour
from tests.fakes.upstream import FaultUpstream
from tests.integration.raw import Connection, listening
from tests.running import MODEL, ROOT

pytestmark = pytest.mark.slow

KEY = "sk-very-secret"


@dataclass(frozen=True, slots=True)
class Report:
    """What the command said: its exit code, and each row as mark, subject, what, detail."""

    code: int
    rows: list[list[str]]
    text: str

    def detail(self, subject: str, what: str) -> tuple[str, str]:
        """Mark and detail of the one row about this."""
        ((mark, _, _, detail),) = (row for row in self.rows if row[1:3] == [subject, what])
        return mark, detail


async def check(folder: Path, config: str) -> Report:
    path = folder / "hotspare.yaml"
    path.write_text(config)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy.cli", "check", "--config", str(path)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    rows = [line.split(maxsplit=3) for line in output.decode().splitlines() if line.startswith(("ok", "FAIL"))]
    return Report(process.returncode, rows, output.decode())


def alone(base_url: str, extra: str = "") -> str:
    return f'upstreams: [{{name: cloud, base_url: "{base_url}", api_key: {KEY}{extra}}}]\nlocal: false'


@pytest.fixture
async def refusing() -> str:
    """A base URL where nobody listens."""
    async with FaultUpstream() as upstream:
        return upstream.base_url


@pytest.mark.model
async def test_all_is_well(upstream: FaultUpstream, model_file: None, tmp_path: Path) -> None:
    config = f"""
upstreams: [{{name: cloud, base_url: "{upstream.base_url}", api_key: {KEY}}}]
local: {{model: {MODEL}, context: 512, pull: false}}
"""
    report = await check(tmp_path, config)
    assert (report.code, [row[:3] for row in report.rows]) == (
        0,
        [
            ["ok", "configuration", "valid"],
            ["ok", "workers", "number"],
            ["ok", "cloud", "dns"],
            ["ok", "cloud", "http"],
            ["ok", "local", "model"],
            ["ok", "local", "standby"],
        ],
    )
    assert f"model={MODEL}" in report.detail("local", "model")[1]
    assert KEY not in report.text


@pytest.mark.model
async def test_local_model_is_loaded_and_let_go(model_file: None, tmp_path: Path) -> None:
    report = await check(tmp_path, f"local: {{model: {MODEL}, context: 512, pull: false}}")
    said = [line.split()[1] for line in report.text.splitlines() if line.startswith(" ")]
    assert report.code == 0
    assert said[-1] == "ready"


@pytest.mark.model
async def test_sigterm_leaves_nothing_behind(model_file: None, tmp_path: Path) -> None:
    """It ended the command where it stood, and the folder of the model server's socket stayed."""
    config, scratch = tmp_path / "hotspare.yaml", tmp_path / "scratch"
    config.write_text(f"local: {{model: {MODEL}, context: 512, pull: false}}")
    scratch.mkdir()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy", "check", "--config", str(config)),
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(scratch)},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    while b" starting" not in await process.stdout.readline():
        pass
    assert [folder.name.startswith("hotspare-check-") for folder in scratch.iterdir()] == [True]
    process.terminate()
    await process.communicate()
    assert (process.returncode, list(scratch.iterdir())) == (130, [])


async def test_local_model_that_is_no_file_is_told(tmp_path: Path) -> None:
    report = await check(tmp_path, f"local: {{model: {tmp_path}/absent.gguf, pull: false}}")
    mark, detail = report.detail("local", "model")
    assert (report.code, mark) == (1, "FAIL")
    assert "absent.gguf" in detail


async def test_dead_upstream_is_told_and_the_rest_is_still_tried(
    refusing: str, upstream: FaultUpstream, tmp_path: Path
) -> None:
    config = f"""
upstreams:
  - {{name: dead, base_url: "{refusing}", api_key: {KEY}}}
  - {{name: well, base_url: "{upstream.base_url}", api_key: {KEY}}}
local: false
"""
    report = await check(tmp_path, config)
    mark, detail = report.detail("dead", "http")
    assert (report.code, mark, report.detail("well", "http")[0]) == (1, "FAIL", "ok")
    assert "nobody listens" in detail
    assert "base_url" in detail
    assert KEY not in report.text


async def test_refused_key_is_told(upstream: FaultUpstream, tmp_path: Path) -> None:
    upstream.behaviour = Behaviour.UNAUTHORIZED_401
    report = await check(tmp_path, alone(upstream.base_url))
    mark, detail = report.detail("cloud", "http")
    assert (report.code, mark) == (1, "FAIL")
    assert "api_key" in detail
    assert upstream.requests[0].header("authorization") == f"Bearer {KEY}"
    assert KEY not in report.text


async def test_upstream_that_wants_the_clients_keys_is_well(upstream: FaultUpstream, tmp_path: Path) -> None:
    upstream.behaviour = Behaviour.UNAUTHORIZED_401
    config = f'upstreams: [{{name: cloud, base_url: "{upstream.base_url}"}}]\nlocal: false'
    report = await check(tmp_path, config)
    mark, detail = report.detail("cloud", "http")
    assert (report.code, mark) == (0, "ok")
    assert "clients bring" in detail


async def test_name_that_nobody_knows_is_told(tmp_path: Path) -> None:
    report = await check(tmp_path, alone("https://api.invalid/v1"))
    mark, detail = report.detail("cloud", "dns")
    assert (report.code, mark) == (1, "FAIL")
    assert "api.invalid" in detail
    assert "check base_url" in detail


async def test_wrong_path_is_told(tmp_path: Path) -> None:
    async def serve(upstream: Connection) -> None:
        await upstream.reader.readuntil(b"\r\n\r\n")
        await upstream.send(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")

    async with listening(serve) as base_url:
        report = await check(tmp_path, alone(base_url.replace("/v1", "/v2")))
    mark, detail = report.detail("cloud", "http")
    assert (report.code, mark) == (1, "FAIL")
    assert "is base_url right" in detail


@pytest.mark.parametrize(
    "behaviour", [Behaviour.ERROR_503, Behaviour.RESET, Behaviour.GARBAGE, Behaviour.RATE_LIMITED_429]
)
async def test_upstream_in_trouble_is_told_with_what_to_do(
    behaviour: Behaviour, upstream: FaultUpstream, tmp_path: Path
) -> None:
    upstream.behaviour = behaviour
    report = await check(tmp_path, alone(upstream.base_url))
    mark, detail = report.detail("cloud", "http")
    assert (report.code, mark) == (1, "FAIL")
    assert "; " in detail, "a finding, then what to do"


async def test_plain_http_behind_https_is_told(tmp_path: Path) -> None:
    async def serve(upstream: Connection) -> None:
        await upstream.reader.read(1)
        await upstream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with listening(serve) as base_url:
        report = await check(tmp_path, alone(base_url.replace("http:", "https:")))
    mark, detail = report.detail("cloud", "http")
    assert (report.code, mark) == (1, "FAIL")
    assert "http or https" in detail


async def test_local_server_of_somebody_else_is_asked(upstream: FaultUpstream, refusing: str, tmp_path: Path) -> None:
    well = await check(tmp_path, f'local: {{url: "{upstream.base_url}", served_model: m}}')
    ill = await check(tmp_path, f'local: {{url: "{refusing}", served_model: m}}')
    assert (well.code, well.detail("local", "http")[0]) == (0, "ok")
    assert (ill.code, ill.detail("local", "http")[0]) == (1, "FAIL")
