"""The same bytes of a client by both ways in: the fast lane, and aiohttp."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass

from proxy.app import Hotspare
from tests.contract.origin import Script, origin
from tests.fakes.http import Request
from tests.fakes.upstream import FaultUpstream
from tests.integration.raw import Answer, Connection, connected, request
from tests.running import running_proxy

CHAT = "/v1/chat/completions"
GOOD = b'{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}'
STREAMED = GOOD[:-1] + b',"stream":true}'
PLAIN = request("POST", CHAT, GOOD)

Fields = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Said:
    """One answer: names in lower case, in order of the alphabet."""

    status: int
    fields: Fields
    body: bytes


@dataclass(frozen=True)
class Seen:
    """What came of a client's bytes: the answers, whether the connection takes one more request, and what the upstream
    was asked.
    """

    answers: tuple[Said, ...]
    is_open: bool
    asked: tuple[tuple[str, str, Fields, bytes], ...] = ()

    @property
    def statuses(self) -> tuple[int, ...]:
        return tuple(answer.status for answer in self.answers)


@dataclass(frozen=True)
class Way:
    """A proxy with one way in, and its upstream if that is a fake of ours."""

    hotspare: Hotspare
    base_url: str
    upstream: FaultUpstream | None

    @property
    def by_aiohttp(self) -> int:
        """How many requests aiohttp has served."""
        server = self.hotspare._runners[-1].server
        assert server is not None
        return server.requests_count

    async def play(self, pieces: Iterable[bytes], answers: int = 1, *, is_half_closed: bool = False) -> Seen:
        """Send the pieces one by one, each by itself, and read so many answers, or up to the end."""
        if self.upstream:
            self.upstream.requests.clear()
            self.upstream.sent.clear()
        async with asyncio.timeout(10), connected(self.base_url) as connection:
            await _send(connection, pieces)
            if is_half_closed:
                connection.writer.write_eof()
            said = [answer async for answer in _answers(connection, answers)]
            is_open = not is_half_closed and len(said) == answers and await _takes_one_more(connection)
        return Seen(tuple(map(_said, said)), is_open, self._asked())

    def _asked(self) -> tuple[tuple[str, str, Fields, bytes], ...]:
        return tuple(map(_asked, self.upstream.requests)) if self.upstream else ()


@dataclass(frozen=True)
class Ways:
    """Both."""

    lane: Way
    aiohttp: Way

    async def play(self, *pieces: bytes, answers: int = 1, is_half_closed: bool = False) -> tuple[Seen, Seen]:
        """What is seen by the lane, and by aiohttp."""
        by_lane = await self.lane.play(pieces, answers, is_half_closed=is_half_closed)
        return by_lane, await self.aiohttp.play(pieces, answers, is_half_closed=is_half_closed)

    def upstreams(self) -> Iterable[FaultUpstream]:
        return [way.upstream for way in (self.lane, self.aiohttp) if way.upstream]


@asynccontextmanager
async def both_ways(config: Callable[[str], str]) -> AsyncIterator[Ways]:
    """Two proxies, each with a FaultUpstream of its own; `config` makes a configuration of its base URL."""
    async with _way(config, has_lane=True) as lane, _way(config, has_lane=False) as aiohttp:
        yield Ways(lane, aiohttp)


@asynccontextmanager
async def _way(config: Callable[[str], str], *, has_lane: bool) -> AsyncIterator[Way]:
    async with FaultUpstream() as upstream, _proxy(config(upstream.base_url), has_lane=has_lane) as (hotspare, url):
        yield Way(hotspare, url, upstream)


async def over_both(script: Script, *pieces: bytes, answers: int = 1) -> tuple[Seen, Seen]:
    """As `Ways.play`, with upstreams that play a script."""
    return await _over(script, pieces, answers, has_lane=True), await _over(script, pieces, answers, has_lane=False)


async def _over(script: Script, pieces: Sequence[bytes], answers: int, *, has_lane: bool) -> Seen:
    async with (
        origin(script) as there,
        _proxy(alone(f"http://127.0.0.1:{there.port}/v1"), has_lane=has_lane) as (hotspare, url),
    ):
        return await Way(hotspare, url, None).play(pieces, answers)


def alone(base_url: str) -> str:
    """A configuration of one upstream and small limits."""
    limits = "limits: {body: 64KiB, body_timeout: 150ms, deadline: 5s, drain: 1s}"
    return f'upstreams: [{{name: cloud, base_url: "{base_url}", api_key: sk-upstream}}]\nlocal: false\n{limits}\n'


def _proxy(config: str, *, has_lane: bool) -> AbstractAsyncContextManager[tuple[Hotspare, str]]:
    return running_proxy(f"{config}fast_lane: {str(has_lane).lower()}\n")


async def turn() -> None:
    """Let the other side read what was sent."""
    for _ in range(3):
        await asyncio.sleep(0)


async def _send(connection: Connection, pieces: Iterable[bytes]) -> None:
    with suppress(ConnectionError):  # a proxy that has heard enough closes
        for piece in pieces:
            await connection.send(piece)
            await turn()


async def _answers(connection: Connection, count: int) -> AsyncIterator[Answer]:
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        for _ in range(count):
            yield await connection.answer()


async def _takes_one_more(connection: Connection) -> bool:
    try:
        return (await connection.ask(request("GET", "/livez"))).status == 200
    except (asyncio.IncompleteReadError, ConnectionError):
        return False


def _said(answer: Answer) -> Said:
    named = [(name, value) for name, values in answer.headers.items() for value in values]
    ours = answer.header("x-hotspare-request-id")
    fields = [(name, value) for name, value in named if name != "date" and (value != ours or ours is None)]
    return Said(answer.status, tuple(sorted(fields)), answer.body)


def _asked(asked: Request) -> tuple[str, str, Fields, bytes]:
    fields = [(name.lower(), value) for name, value in asked.headers if name.lower() != "host"]
    return asked.method, asked.target, tuple(sorted(fields)), asked.body
