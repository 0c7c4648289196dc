"""One end of the socket pair between the fleet and a worker, on the event loop."""

import asyncio
import socket
from collections.abc import Callable
from typing import Final, Generic, TypeVar, cast

from proxy.workers.messages import Inbox, Message, OutOfStep, encode

R = TypeVar("R")

UNREAD_BYTES: Final = 16 * 2**20
"""What may wait for the other end to read it. Thousands of messages: whoever leaves more lying is as good as gone."""


class Link(asyncio.Protocol, Generic[R]):
    """Sends any message, receives those of the other end. `closed` is set when nothing more will come."""

    def __init__(self, decode: Callable[[bytes], R], receive: Callable[[R], None]) -> None:
        self._decode = decode
        self._receive = receive
        self._inbox = Inbox()
        self._transport: asyncio.WriteTransport | None = None
        self.closed = asyncio.Event()

    async def open(self, end: socket.socket) -> None:
        """Take over one end of a socket pair."""
        await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=end)

    def send(self, message: Message) -> None:
        """Send it, or drop it if nobody is there any more. Cuts the link if the other end has long stopped reading."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.write(encode(message))
        if transport.get_write_buffer_size() > UNREAD_BYTES:
            transport.abort()

    def close(self) -> None:
        """Send what is unsent, then hang up."""
        if self._transport:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The loop has it."""
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's transports are of no such class

    def data_received(self, data: bytes) -> None:
        """Hand on what is complete. An end that talks nonsense is cut off."""
        try:
            for payload in self._inbox.feed(data):
                self._receive(self._decode(payload))
        except OutOfStep:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - however it ended, it ended
        """The other end is gone, or we hung up."""
        self.closed.set()

    def abort(self) -> None:
        """Hang up at once."""
        if self._transport:
            self._transport.abort()
