"""The same exchange over both roads: ours, and aiohttp's client."""

from dataclasses import dataclass
from typing import Protocol

import aiohttp
from yarl import URL

from proxy.clock import SystemClock
from proxy.core.outcome import Kind
from proxy.upstreams.transport import AttemptFailed, Outgoing, Transport
from proxy.wire.headers import Fields

CONNECT_SECONDS = 5.0
WHOLE, CUT, BAD, REFUSED = "whole", "cut", "bad", "refused"


@dataclass(frozen=True)
class Seen:
    """What came of an exchange: the answer if its head came, and how it ended."""

    end: str
    status: int | None = None
    fields: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class Road(Protocol):
    """One connection pool to one origin."""

    async def ask(self, method: str = "GET", data: bytes | None = None, fields: Fields = ...) -> Seen: ...

    async def close(self) -> None: ...


class Ours:
    """The road under test."""

    def __init__(self, port: int) -> None:
        self.transport = Transport(f"http://127.0.0.1:{port}/v1", SystemClock())

    async def ask(self, method: str = "GET", data: bytes | None = None, fields: Fields = []) -> Seen:  # noqa: B006
        try:
            exchange = await self.transport.send(Outgoing(method, "/x?y=%20", fields, data), CONNECT_SECONDS)
        except AttemptFailed:
            return Seen(REFUSED)
        body = bytearray()
        end = WHOLE
        async with exchange:
            try:
                async for chunk in exchange.chunks():
                    body += chunk
            except AttemptFailed as failure:
                end = CUT if failure.outcome.kind is Kind.CUT else BAD
        return Seen(end, exchange.status, tuple(exchange.fields), bytes(body))

    async def close(self) -> None:
        await self.transport.close()


class Aiohttp:
    """The road to compare with."""

    def __init__(self, port: int) -> None:
        self.url = URL(f"http://127.0.0.1:{port}/v1/x?y=%20", encoded=True)
        untouched = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
        self.session = aiohttp.ClientSession(
            auto_decompress=False, skip_auto_headers=untouched, max_line_size=2**16, max_field_size=2**16
        )

    async def ask(self, method: str = "GET", data: bytes | None = None, fields: Fields = []) -> Seen:  # noqa: B006
        try:
            answer = await self.session.request(method, self.url, data=data, headers=fields, allow_redirects=False)
        except (aiohttp.ClientError, OSError):
            return Seen(REFUSED)
        body = bytearray()
        end = WHOLE
        async with answer:
            try:
                async for chunk in answer.content.iter_any():
                    body += chunk
            except (aiohttp.ClientError, OSError):
                end = CUT
        fields = tuple((_text(name), _text(value)) for name, value in answer.raw_headers)
        return Seen(end, answer.status, fields, bytes(body))

    async def close(self) -> None:
        await self.session.close()


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
