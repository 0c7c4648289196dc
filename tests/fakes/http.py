"""HTTP/1.1 of a server, as much as a test needs: one request in, the bytes of an answer out.

It is strict about nothing: what the client sent is kept as it came, so that a test can look at it.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

Headers = Sequence[tuple[str, str]]

LAST_CHUNK = b"0\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class BadRequest(ValueError):
    """The client's bytes are not an HTTP/1.x request."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came: headers in order and in their own case, the body without its transfer coding."""

    method: str
    target: str
    version: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def is_kept_alive(self) -> bool:
        """Whether the client wants to use the connection again."""
        default = "close" if self.version == "HTTP/1.0" else "keep-alive"
        return (self.header("connection") or default).lower() != "close"

    def header(self, name: str) -> str | None:
        """The first value of a header, or None. The name's case does not matter."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def fields(self) -> dict[str, Any]:
        """The body as a JSON object; empty if it is anything else."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


async def read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
    """The next request of a connection; None if the client closes before it starts.

    Raises BadRequest, asyncio.IncompleteReadError or ConnectionError if it does not come whole.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    request = parse_head(head)
    if (request.header("expect") or "").lower() == "100-continue":
        writer.write(_CONTINUE)
    body = await _read_body(reader, request)
    return Request(request.method, request.target, request.version, request.headers, body)


def parse_head(head: bytes) -> Request:
    """Request line and headers, without a body. Raises BadRequest."""
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    try:
        method, target, version = first.split(" ")
        headers = tuple((name, value.strip()) for name, value in (line.split(":", 1) for line in lines))
    except ValueError:
        raise BadRequest(first) from None
    return Request(method, target, version, headers)


async def _read_body(reader: asyncio.StreamReader, request: Request) -> bytes:
    if (request.header("transfer-encoding") or "").lower() == "chunked":
        return await _read_chunked(reader)
    return await reader.readexactly(int(request.header("content-length") or 0))


async def _read_chunked(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int((await reader.readline()).partition(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    while await reader.readline() not in (b"\r\n", b""):
        pass  # trailers
    return bytes(body)


def encode_head(status: int, headers: Headers) -> bytes:
    """Status line and headers of an answer. A status that HTTP has no name for gets "Unknown"."""
    lines = [f"HTTP/1.1 {status} {_reason(status)}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def encode_chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; `data` is not empty, for an empty chunk ends the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)
