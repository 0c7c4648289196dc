"""A model server under thousands of random requests: does it leak, does anything stay behind, is every answer right?

The model is a tiny one with random weights, so that it is the engine that is tested and not the arithmetic.
"""

import argparse
import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import perf_counter

import aiohttp
import uvloop

from tests.bench import process
from tests.bench.caprice import Caprice, fault_of_status, fault_of_stream, fault_of_whole, throw
from tests.integration.models.tiny import Kind, write
from tests.running import ROOT

_READING_EVERY = 1000
_FEWEST_READINGS = 4
_WARM_AFTER = 2000
"""Requests after which a process has grown to its size: allocators, thread pools, caches of prefixes."""
_GROWTH = 1.1

_ANSWER_SECONDS = 120.0
_START_SECONDS = 120.0
_IDLE_SECONDS = 30.0
_POLL_SECONDS = 0.05
_FAULTS_SHOWN = 5


@dataclass(slots=True)
class Soak:
    """What came of it.

    Attributes:
        statuses: of the answers, and "left" for each client that went away.
        faults: what was wrong.
        readings: (requests, bytes of the server's memory), in order.
        is_idle: whether in the end nothing ran or waited.
        tracebacks: in the server's log.

    """

    statuses: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    readings: list[tuple[int, int]] = field(default_factory=list)
    is_idle: bool = False
    tracebacks: int = 0

    def growth(self) -> float:
        """Of the memory, from when the server was warm to the end, as a ratio."""
        total = self.readings[-1][0]
        warm = next(rss for requests, rss in self.readings if requests >= min(_WARM_AFTER, total // 2))
        return self.readings[-1][1] / warm

    def verdict(self) -> list[str]:
        """All that went wrong, for people; empty if nothing did."""
        complaints = (
            [f"{len(self.faults)} wrong answers, such as:", *self.faults[:_FAULTS_SHOWN]] if self.faults else []
        )
        if not self.is_idle:
            complaints.append("something still runs or waits, though nobody is there")
        if self.tracebacks:
            complaints.append(f"{self.tracebacks} tracebacks in the server's log")
        if self.growth() > _GROWTH:
            complaints.append(f"the server's memory has grown to {self.growth():.2f} of what it was when warm")
        return complaints


@dataclass(slots=True)
class _Watch:
    """Looks at the server's memory every so many requests."""

    soak: Soak
    pid: int
    every: int
    done: int = 0

    def count(self) -> None:
        self.done += 1
        if self.done % self.every == 0:
            self.look()

    def look(self) -> None:
        rss = process.Tree((self.pid,)).usage().rss_bytes
        self.soak.readings.append((self.done, rss))
        print(f"{self.done:6} requests: {rss / 2**20:6.1f} MiB, {len(self.soak.faults)} faults", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """See `--help`; returns 0 if nothing went wrong."""
    options = _parser().parse_args(arguments)
    with TemporaryDirectory() as folder:
        model = options.model or str(write(Kind.FULL, Path(folder) / "tiny.gguf"))
        soak = uvloop.run(_run(model, Path(folder), options))
    complaints = soak.verdict()
    print(f"statuses {dict(soak.statuses)}; memory {soak.growth():.3f} of what it was when warm", *complaints, sep="\n")
    return int(bool(complaints))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000, help="default: %(default)s")
    parser.add_argument("--concurrency", type=int, default=32, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="makes the requests; default: %(default)s")
    parser.add_argument("--model", metavar="NAME|PATH", help="default: a tiny one")
    parser.add_argument(
        "--flags", nargs="*", default=[], help="more of `serve`'s flags, without their dashes: kv=unified"
    )
    return parser


async def _run(model: str, folder: Path, options: argparse.Namespace) -> Soak:
    soak = Soak()
    flags = [f"--{flag}" for flag in options.flags]
    socket, log = folder / "s", folder / "log"
    async with _serving(model, socket, log, flags) as server, _session(socket, options.concurrency) as session:
        await _until_ready(session, server, log)
        requests = _requests(options.requests, options.seed, await _name(session))
        started_at = perf_counter()
        watch = _Watch(soak, server.pid, max(1, min(_READING_EVERY, options.requests // _FEWEST_READINGS)))
        await asyncio.gather(*(_work(session, requests, watch) for _ in range(options.concurrency)))
        soak.is_idle = await _becomes_idle(session)
        watch.look()
        print(
            f"{options.requests} requests in {perf_counter() - started_at:.0f} s; {await _health(session)}", flush=True
        )
    soak.tracebacks = log.read_text().count("Traceback")
    return soak


def _requests(count: int, seed: int, model: str) -> Iterator[Caprice]:
    dice = Random(seed)
    return (throw(dice, model) for _ in range(count))


@asynccontextmanager
async def _serving(model: str, socket: Path, log: Path, flags: list[str]) -> AsyncIterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "models", "serve", "--model", model, "--socket", str(socket), "--allow-grammars"]
    with log.open("w") as said:
        server = subprocess.Popen([*command, *flags], cwd=ROOT, stdout=said, stderr=said)
        try:
            yield server
        finally:
            process.stop(server)


def _session(socket: Path, concurrency: int) -> aiohttp.ClientSession:
    connector = aiohttp.UnixConnector(path=str(socket), limit=concurrency + 1)
    return aiohttp.ClientSession(
        "http://model", connector=connector, timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
    )


async def _until_ready(session: aiohttp.ClientSession, server: subprocess.Popen[bytes], log: Path) -> None:
    async with asyncio.timeout(_START_SECONDS):
        while not await _is_ready(session):
            if server.poll() is not None:
                raise SystemExit(f"the server has ended with status {server.returncode}:\n{log.read_text()}")
            await asyncio.sleep(_POLL_SECONDS)


async def _is_ready(session: aiohttp.ClientSession) -> bool:
    try:
        async with session.get("/health") as answer:
            return answer.status == HTTPStatus.OK
    except aiohttp.ClientConnectionError:
        return False


async def _name(session: aiohttp.ClientSession) -> str:
    async with session.get("/v1/models") as answer:
        return str((await answer.json())["data"][0]["id"])


async def _health(session: aiohttp.ClientSession) -> dict[str, int]:
    async with session.get("/health") as answer:
        body: dict[str, int] = await answer.json()
        return body


async def _becomes_idle(session: aiohttp.ClientSession) -> bool:
    for _ in range(int(_IDLE_SECONDS / _POLL_SECONDS)):
        body = await _health(session)
        if not body["running"] and not body["queued"]:
            return True
        await asyncio.sleep(_POLL_SECONDS)
    return False


async def _work(session: aiohttp.ClientSession, requests: Iterator[Caprice], watch: _Watch) -> None:
    """One client after the other, until there are no more requests."""
    for caprice in requests:
        try:
            fault = await _ask(session, caprice, watch.soak.statuses)
        except (aiohttp.ClientError, TimeoutError) as error:
            fault = repr(error)
        if fault:
            watch.soak.faults.append(f"{fault} to {caprice}")
        watch.count()


async def _ask(session: aiohttp.ClientSession, caprice: Caprice, statuses: Counter[str]) -> str | None:
    """Send it; returns what is wrong with the answer."""
    async with session.post(f"/v1{caprice.path}", json=caprice.body, headers=caprice.headers) as answer:
        lines: list[str] = []
        while caprice.leaves_after_lines is None or len(lines) < caprice.leaves_after_lines:
            if not (line := await answer.content.readline()):
                break
            lines.append(line.decode())
        else:
            statuses["left"] += 1
            answer.close()
            return None
    statuses[str(answer.status)] += 1
    text = "".join(lines)
    if answer.status != HTTPStatus.OK:
        return fault_of_status(caprice, answer.status, text)
    judge = fault_of_stream(caprice, lines) if caprice.is_streamed else fault_of_whole(caprice, text)
    return judge or fault_of_status(caprice, answer.status, text)


if __name__ == "__main__":
    sys.exit(main())
