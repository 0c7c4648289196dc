"""A model server under thousands of random requests: does it leak, does anything stay behind, is every answer right?

The model is a tiny one with random weights, so that it is the engine that is tested and not the arithmetic.
"""

import argparse
import asyncio
import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory, TemporaryFile
from time import perf_counter

import aiohttp
import uvloop

from tests.bench import process
from tests.bench.caprice import Caprice, fault_of_status, fault_of_stream, fault_of_whole, throw
from tests.bench.serving.server import Launched, Server, launched
from tests.bench.target import HOST, NotServing
from tests.integration.models.tiny import Kind, write

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
        try:
            soak = uvloop.run(_run(model, options))
        except NotServing as error:
            raise SystemExit(str(error)) from None
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


async def _run(model: str, options: argparse.Namespace) -> Soak:
    soak = Soak()
    with TemporaryFile() as said:
        async with launched(_server(model, options.flags), options.concurrency, _START_SECONDS, said) as server:
            await _work_through(server, soak, options)
        said.seek(0)
        soak.tracebacks = said.read().count(b"Traceback")
    return soak


def _server(model: str, flags: Sequence[str]) -> Server:
    command = [sys.executable, "-m", "models", "serve", "--model", model, "--listen", f"{HOST}:{{port}}"]
    return Server("ours", command=shlex.join([*command, "--allow-grammars", *(f"--{flag}" for flag in flags)]))


async def _work_through(server: Launched, soak: Soak, options: argparse.Namespace) -> None:
    async with _session(server.url.removesuffix("/v1"), options.concurrency) as session:
        requests = _requests(options.requests, options.seed, await _name(session))
        started_at = perf_counter()
        watch = _Watch(soak, server.pid, max(1, min(_READING_EVERY, options.requests // _FEWEST_READINGS)))
        await asyncio.gather(*(_work(session, requests, watch) for _ in range(options.concurrency)))
        soak.is_idle = await _becomes_idle(session)
        watch.look()
        print(
            f"{options.requests} requests in {perf_counter() - started_at:.0f} s; {await _health(session)}", flush=True
        )


def _requests(count: int, seed: int, model: str) -> Iterator[Caprice]:
    dice = Random(seed)
    return (throw(dice, model) for _ in range(count))


def _session(root: str, concurrency: int) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=concurrency + 1)
    return aiohttp.ClientSession(root, connector=connector, timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS))


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
