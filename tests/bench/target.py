"""Something that requests can be sent to: the mock itself, or a proxy that was started in front of it."""

import http.client
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

from tests.bench import traffic
from tests.bench.process import Cores, Tree, pinned, stop
from tests.bench.recipe import Recipe, Site, find_program

HOST = "127.0.0.1"
_POLL_SECONDS = 0.002


class NotServing(RuntimeError):
    """A process did not come up; holds the end of what it wrote."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go. `tree` is None for the mock, whose CPU time is of no interest; `start_seconds` is from the
    start of the process to its first answer.
    """

    name: str
    port: int
    tree: Tree | None = None
    headers: tuple[str, ...] = ()
    start_seconds: float = float("nan")


@contextmanager
def mock(program: Path, core: int) -> Iterator[int]:
    """A running mock upstream on a free port. Raises NotServing."""
    with pinned(core):
        process = subprocess.Popen([str(program), "0"], stdout=subprocess.PIPE)
    try:
        line = process.stdout.readline() if process.stdout else b""
        if not line:
            raise NotServing("the mock did not start")
        yield int(line)
    finally:
        stop(process)


@contextmanager
def started(recipe: Recipe, upstream: int, cores: Cores, values: Mapping[str, str]) -> Iterator[Target]:
    """A proxy that runs and has answered, alone on its core. Raises NotServing."""
    with TemporaryDirectory(prefix=f"bench-{recipe.name}-") as folder, (Path(folder) / "output").open("wb+") as output:
        site = Site(_free_port(), upstream, Path(folder), values)
        for name, text in recipe.files.items():
            (site.work / name).write_text(site.fill(text))
        start = perf_counter()
        with pinned(cores.target):
            process = subprocess.Popen(
                _command(recipe, site),
                env={**os.environ, **recipe.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        headers = tuple(site.fill(header) for header in recipe.headers)
        try:
            with pinned(cores.load):
                _wait_until_serving(process, recipe, traffic.request(headers), site)
            seconds = perf_counter() - start
            yield Target(recipe.name, site.port, Tree.of(process.pid), headers, seconds)
        finally:
            stop(process)


def _command(recipe: Recipe, site: Site) -> list[str]:
    program, *arguments = (site.fill(part) for part in recipe.command)
    return [find_program(program) or program, *arguments]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def _wait_until_serving(process: subprocess.Popen[bytes], recipe: Recipe, request: bytes, site: Site) -> None:
    deadline = perf_counter() + recipe.start_timeout_seconds
    while _status(site.port, request) != http.client.OK:
        if process.poll() is not None:
            raise NotServing(f"{recipe.name} ended with status {process.returncode}{_end_of_output(site)}")
        if perf_counter() > deadline:
            limit = recipe.start_timeout_seconds
            raise NotServing(f"{recipe.name} did not serve within {limit:.0f} s{_end_of_output(site)}")
        sleep(_POLL_SECONDS)


def _end_of_output(site: Site) -> str:
    lines = (site.work / "output").read_text(errors="replace").splitlines()[-10:]
    return "\n  ".join([":", *lines]) if lines else ""


def _status(port: int, request: bytes) -> int | None:
    """The status of an answer to the request, or None if there is none."""
    try:
        with socket.create_connection((HOST, port), timeout=10) as connection:
            connection.sendall(request)
            response = http.client.HTTPResponse(connection)
            try:
                response.begin()
                return response.status
            finally:
                response.close()
    except (OSError, http.client.HTTPException):
        return None
