"""The load driver: raw HTTP/1.1 over keep-alive connections, closed loop (the next request follows the answer).

Its own cost per request is part of every latency, direct and proxied alike: compare, do not read as absolute.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter, perf_counter_ns
from typing import TypeVar, cast

from tests.bench import traffic
from tests.bench.traffic import Pace

_OK = b"HTTP/1.1 200"
_ANSWER_TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(slots=True, eq=False)
class Load:
    """What a run offers and what came of it. All times in seconds; `ttfts` and `delays` are of streams only."""

    address: Address
    request: bytes
    until: float
    latencies: list[float] = field(default_factory=list)
    ttfts: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    failures: int = 0
    elapsed_seconds: float = 0.0

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.elapsed_seconds

    @property
    def events_per_second(self) -> float:
        """Content events a second."""
        return len(self.delays) / self.elapsed_seconds


class Connection(asyncio.Protocol):
    """One connection of a load; `finished` is done when its last answer is in, or it has failed."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sent_at = 0.0
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one only in its methods
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.finished.done():
            self._fail()

    def close(self) -> None:
        """Ends the connection, and the run on it."""
        self._transport.close()
        if not self.finished.done():
            self.finished.set_result(None)

    def _send(self) -> None:
        self._received = b""
        self._sent_at = perf_counter()
        self._transport.write(self.load.request)

    def _answered(self, now: float) -> None:
        self.load.latencies.append(now - self._sent_at)
        if now < self.load.until:
            self._send()
        else:
            self.close()

    def _fail(self) -> None:
        self.load.failures += 1
        self.close()


class JsonConnection(Connection):
    """Asks for answers in one piece."""

    def data_received(self, data: bytes) -> None:
        self._received = self._received + data if self._received else data
        if not self._received.startswith(_OK):
            self._fail()
        elif traffic.is_whole_answer(self._received):
            self._answered(perf_counter())


class StreamConnection(Connection):
    """Asks for streams, and notes when each event was sent and came."""

    def __init__(self, load: Load) -> None:
        super().__init__(load)
        self.first_event: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._has_head = False
        self._has_event = False

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.first_event.done():
            self.first_event.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        now = perf_counter_ns()
        if not self._has_head and not data.startswith(_OK):
            self._fail()
            return
        self._has_head = True
        self._note_events(data, now)
        if self._received.endswith(traffic.LAST_CHUNK):
            self._has_head = self._has_event = False
            self._answered(now / 1e9)

    def _note_events(self, data: bytes, now: int) -> None:
        times, self._received = traffic.times_sent(self._received + data)
        self.load.delays.extend((now - sent_at) / 1e9 for sent_at in times)
        if times and not self._has_event:
            self._has_event = True
            self.load.ttfts.append(now / 1e9 - self._sent_at)
            if not self.first_event.done():
                self.first_event.set_result(None)


C = TypeVar("C", bound=Connection)


async def ask(address: Address, connections: int, seconds: float) -> Load:
    """Unstreamed requests on so many connections for so long."""
    load = Load(address, traffic.request(str(address), traffic.body()), perf_counter() + seconds)
    return await _run(load, JsonConnection, connections, spread_seconds=0.0, limit_seconds=seconds)


async def stream(address: Address, connections: int, pace: Pace, seconds: float = 0.0) -> Load:
    """Streams on so many connections, at least one on each, none started after `seconds`.

    They start spread over one gap, so that their events do not come in bursts.
    """
    load = Load(address, traffic.request(str(address), traffic.body(pace)), perf_counter() + seconds)
    return await _run(load, StreamConnection, connections, pace.gap_milliseconds / 1000, seconds + pace.seconds)


@asynccontextmanager
async def hold(address: Address, streams: int) -> AsyncIterator[None]:
    """So many streams that are open, have had their first event and wait for the next. Raises TimeoutError."""
    load = Load(address, traffic.request(str(address), traffic.body(Pace(2, 60_000))), 0.0)
    connections = await _connect(load, StreamConnection, streams, spread_seconds=0.5)
    try:
        async with asyncio.timeout(_ANSWER_TIMEOUT_SECONDS):
            await asyncio.gather(*(connection.first_event for connection in connections))
        yield
    finally:
        for connection in connections:
            connection.close()


async def _run(
    load: Load, kind: Callable[[Load], C], connections: int, spread_seconds: float, limit_seconds: float
) -> Load:
    started = perf_counter()
    opened = await _connect(load, kind, connections, spread_seconds)
    finished = [connection.finished for connection in opened]
    _, late = await asyncio.wait(finished, timeout=limit_seconds + _ANSWER_TIMEOUT_SECONDS)
    load.failures += len(late)
    load.elapsed_seconds = perf_counter() - started
    for connection in opened:
        connection.close()
    return load


async def _connect(load: Load, kind: Callable[[Load], C], connections: int, spread_seconds: float) -> list[C]:
    loop = asyncio.get_running_loop()
    started = perf_counter()
    opened = []
    for number in range(connections):
        # Until an instant, not for a while: the loop's timers have a resolution of 1 ms.
        await asyncio.sleep(max(0.0, started + spread_seconds * number / connections - perf_counter()))
        _, connection = await loop.create_connection(lambda: kind(load), load.address.host, load.address.port)
        opened.append(connection)
    return opened
