"""Places where a client gets no further than the door: each gives the base URL of a cloud that cannot even be asked."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

Door = Callable[[], AbstractAsyncContextManager[str]]

_HOST = "127.0.0.1"
_CALLERS = 4
"""More than a backlog of nought holds, whichever way the kernel counts it."""


@asynccontextmanager
async def refused() -> AsyncIterator[str]:
    """The port belongs to somebody who does not listen."""
    with socket.socket() as sock:
        sock.bind((_HOST, 0))
        yield _base_url("http", sock)


@asynccontextmanager
async def unknown() -> AsyncIterator[str]:
    """A name that DNS does not know (RFC 6761, section 6.4)."""
    yield "http://cloud.invalid/v1"


@asynccontextmanager
async def never_opened() -> AsyncIterator[str]:
    """Nobody accepts, and the backlog is full: the kernel drops every SYN, as a firewall does."""
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((_HOST, 0))
        listener.listen(0)
        for _ in range(_CALLERS):
            caller = stack.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(listener.getsockname())
        yield _base_url("http", listener)


@asynccontextmanager
async def without_tls() -> AsyncIterator[str]:
    """TLS is expected, and plain HTTP comes back."""

    async def talk_plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(talk_plain, _HOST, 0) as server:
        yield _base_url("https", server.sockets[0])


@asynccontextmanager
async def silent_tls() -> AsyncIterator[str]:
    """The connection is accepted, and the handshake never goes on."""
    with socket.create_server((_HOST, 0), backlog=128) as listener:
        yield _base_url("https", listener)


def _base_url(scheme: str, sock: socket.socket) -> str:
    return f"{scheme}://{_HOST}:{sock.getsockname()[1]}/v1"
