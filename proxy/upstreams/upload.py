"""Bodies that do not go out in one write: large ones, and those that are still coming in."""

from collections.abc import AsyncIterator

from proxy.errors import HotspareError
from proxy.upstreams.connection import Connection
from proxy.wire import http1

SLICE_BYTES = 2**18
"""TLS encrypts what it is handed at once, on the event loop: 256 KiB take 0.1-0.2 ms."""


class LengthWrong(HotspareError):
    """A body is not as long as its Content-Length said; sending it would garble what follows."""


async def upload(connection: Connection, pieces: AsyncIterator[bytes | memoryview]) -> None:
    """Write a body, each piece when there is room for it."""
    async for piece in pieces:
        connection.write(piece)
        await connection.room()


async def slices(body: bytes) -> AsyncIterator[memoryview]:
    """A body in memory, in pieces that leave others their turn."""
    view = memoryview(body)
    for start in range(0, len(view), SLICE_BYTES):
        yield view[start : start + SLICE_BYTES]


async def in_chunks(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A body of unknown length, chunked."""
    async for piece in pieces:
        if piece:
            yield http1.encode_chunk(piece)
    yield http1.LAST_CHUNK


async def of_length(pieces: AsyncIterator[bytes], length: int) -> AsyncIterator[bytes]:
    """A body as long as was promised. Raises LengthWrong."""
    left = length
    async for piece in pieces:
        left -= len(piece)
        if left < 0:
            break
        yield piece
    if left:
        raise LengthWrong("the body is not as long as its Content-Length")
