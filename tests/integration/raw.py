"""HTTP spoken by hand: for requests that no client library would send, and answers that one would hide."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from yarl import URL

_NO_BODY = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, its body without transfer coding. Header names are in lower case, each with its values in order."""

    status: int
    headers: dict[str, list[str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        return self.headers.get(name, [None])[0]

    @property
    def error(self) -> dict[str, Any]:
        """The object in an OpenAI-shaped error body; fails unless it has exactly OpenAI's four fields."""
        assert self.header("content-type") == "application/json"
        body = json.loads(self.body)
        assert list(body) == ["error"]
        assert set(body["error"]) == {"message", "type", "param", "code"}
        error: dict[str, Any] = body["error"]
        return error


@dataclass(frozen=True, slots=True)
class Connection:
    """A client's end of one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def ask(self, data: bytes) -> Answer:
        """Send a whole request, and read its answer."""
        await self.send(data)
        return await self.answer()

    async def answer(self, *, to_head: bool = False) -> Answer:
        """The next answer. One to a HEAD request has no body."""
        first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
        headers: dict[str, list[str]] = {}
        for name, _, value in (line.partition(":") for line in lines):
            headers.setdefault(name.lower(), []).append(value.strip())
        answer = Answer(int(first.split()[1]), headers, b"")
        if to_head or answer.status < 200 or answer.status in _NO_BODY:
            return answer
        return Answer(answer.status, headers, await self._body(answer))

    async def _body(self, answer: Answer) -> bytes:
        if answer.header("transfer-encoding") == "chunked":
            return await self._chunked()
        length = answer.header("content-length")
        return await (self.reader.read() if length is None else self.reader.readexactly(int(length)))

    async def _chunked(self) -> bytes:
        body = b""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            body += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readuntil(b"\r\n")
        return body

    async def is_closed_by_peer(self) -> bool:
        """Wait for the end of the connection; False if bytes come instead."""
        return await self.reader.read(1) == b""


@asynccontextmanager
async def connected(base_url: str) -> AsyncIterator[Connection]:
    """A connection to where `base_url` points."""
    url = URL(base_url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.transport.abort()  # a close would wait for a proxy that has refused the rest of a body to read it


def request(method: str, target: str, body: bytes = b"", **headers: str) -> bytes:
    """The bytes of a request; in a header's name `_` stands for `-`. A body is JSON with its length, if nothing else is
    said.
    """
    fields = {"host": "proxy"}
    if body:
        fields |= {"content-type": "application/json", "content-length": str(len(body))}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def listening(serve: Callable[[Connection], Awaitable[None]]) -> AsyncIterator[str]:
    """An upstream that is spoken by hand: `serve` gets each connection. Gives its base URL."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(Connection(reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the proxy may leave at any time
        finally:
            writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
