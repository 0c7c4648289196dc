"""The servers that are compared: some run already, others are started here and ended after each turn."""

import asyncio
import os
import shlex
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from tempfile import TemporaryFile
from time import perf_counter
from typing import IO

import aiohttp

from tests.bench.target import HOST, NotServing

_POLL_SECONDS = 0.05
_STOP_TIMEOUT_SECONDS = 10.0
_OUTPUT_LINES = 10


@dataclass(frozen=True, slots=True)
class Server:
    """A name and either the URL of what runs already (with /v1) or the command that starts it.

    `{port}` in a command is where it has to listen, `{clients}` how many will come at once.
    """

    name: str
    url: str = ""
    command: str = ""

    @property
    def is_launched(self) -> bool:
        """Whether it is started here."""
        return bool(self.command)

    def arguments(self, port: int, clients: int) -> list[str]:
        """The command, filled in. Only the two names are replaced: there may be JSON in it."""
        values = {"{port}": str(port), "{clients}": str(clients)}
        return [_filled(part, values) for part in shlex.split(self.command)]


@dataclass(frozen=True, slots=True)
class Launched:
    """A server that was started here: its URL, with /v1, and its process."""

    url: str
    pid: int


def _filled(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(name, value)
    return text


@asynccontextmanager
async def running(server: Server, clients: int, timeout_seconds: float) -> AsyncIterator[str]:
    """The server's URL while it runs; a process of its own if it is launched here. Raises NotServing."""
    if not server.is_launched:
        yield server.url
        return
    with TemporaryFile() as output:
        async with launched(server, clients, timeout_seconds, output) as launch:
            yield launch.url


@asynccontextmanager
async def launched(server: Server, clients: int, timeout_seconds: float, output: IO[bytes]) -> AsyncIterator[Launched]:
    """A process of the server's own while it runs; what it says goes to `output`, which is left open. Raises
    NotServing.
    """
    port = _free_port()
    process = await _start(server, server.arguments(port, clients), output)
    try:
        await _wait_until_ready(server.name, process, port, timeout_seconds, output)
        yield Launched(f"http://{HOST}:{port}/v1", process.pid)
    finally:
        await _stop(process)


async def _start(server: Server, arguments: list[str], output: IO[bytes]) -> asyncio.subprocess.Process:
    try:
        # A process group of its own: wrappers are ended together with what they wrap.
        return await asyncio.create_subprocess_exec(
            *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    except OSError as error:
        raise NotServing(f"{server.name} cannot be started: {error}") from error


async def _stop(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        async with asyncio.timeout(_STOP_TIMEOUT_SECONDS):
            await process.wait()
    except TimeoutError:
        pass
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # what has outlived its leader, too
    await process.wait()


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


async def _wait_until_ready(
    name: str, process: asyncio.subprocess.Process, port: int, timeout_seconds: float, output: IO[bytes]
) -> None:
    deadline = perf_counter() + timeout_seconds
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        while not await _is_ready(session, f"http://{HOST}:{port}"):
            if process.returncode is not None:
                raise NotServing(f"{name} ended with status {process.returncode}{_end_of(output)}")
            if perf_counter() > deadline:
                raise NotServing(f"{name} did not serve within {timeout_seconds:.0f} s{_end_of(output)}")
            await asyncio.sleep(_POLL_SECONDS)


async def _is_ready(session: aiohttp.ClientSession, root: str) -> bool:
    """Whether it says so at /health, or, where there is no such page, lists its models."""
    status = await _status(session, f"{root}/health")
    if status == HTTPStatus.NOT_FOUND:
        status = await _status(session, f"{root}/v1/models")
    return status == HTTPStatus.OK


async def _status(session: aiohttp.ClientSession, url: str) -> int | None:
    try:
        async with session.get(url) as response:
            return response.status
    except (aiohttp.ClientError, OSError, TimeoutError):
        return None


def _end_of(output: IO[bytes]) -> str:
    output.seek(0)
    lines = output.read().decode(errors="replace").splitlines()[-_OUTPUT_LINES:]
    return "\n  ".join([":", *lines]) if lines else ""
