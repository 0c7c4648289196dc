"""One connection to an upstream: a socket that carries one exchange at a time, and tells it what happens."""

import asyncio
from typing import Protocol, cast


class Receiver(Protocol):
    """The exchange that a connection carries."""

    def received(self, data: bytes) -> None:
        """Bytes came."""
        ...

    def lost(self, detail: str, *, is_clean: bool) -> None:
        """The connection ended: by the peer's FIN (`is_clean`), or by an error that `detail` names."""
        ...


class Keeper(Protocol):
    """Whose connection it is."""

    def lost(self, connection: "Connection") -> None:
        """The connection cannot be used any more. May be said twice."""
        ...


class Connection(asyncio.Protocol):
    """A connected socket. `receiver` is the exchange on it, None while it is idle; `born_tick` is its age for the pool.

    A fault in a receiver leaves the callback on purpose: both event loops then report it and cut the connection, and
    the receiver hears of that.
    """

    __slots__ = ("_is_full", "_keeper", "_transport", "_waiter", "born_tick", "receiver")

    def __init__(self, keeper: Keeper, born_tick: int) -> None:
        self._keeper = keeper
        self._is_full = False
        self._waiter: asyncio.Future[None] | None = None
        self.receiver: Receiver | None = None
        self.born_tick = born_tick

    # ---- what the event loop says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is connected, and TLS is agreed upon where there is any."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Bytes that nobody asked for (a 408 of a server that is tired of waiting, say) end the connection."""
        if self.receiver is None:
            self.abort()
        else:
            self.receiver.received(data)

    def eof_received(self) -> None:
        """Half a connection is of no use: requests are never pipelined, so nothing more can come."""
        self._leave("EOF", is_clean=True)
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._keeper.lost(self)
        self._leave(type(exc).__name__ if exc else "closed", is_clean=False)

    def pause_writing(self) -> None:
        """The socket takes no more for now."""
        self._is_full = True

    def resume_writing(self) -> None:
        """The socket takes more."""
        self._is_full = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _leave(self, detail: str, *, is_clean: bool) -> None:
        receiver, self.receiver = self.receiver, None
        if receiver is not None:
            receiver.lost(detail, is_clean=is_clean)

    # ---- what its receiver and its owner ask

    def write(self, data: bytes | memoryview) -> None:
        """Send bytes; lost ones are told of by the end of the connection."""
        try:
            self._transport.write(data)
        except RuntimeError:  # uvloop's answer to a write after the end that it has yet to tell of
            self.abort()

    async def room(self) -> None:
        """Wait until the socket has taken most of what was written."""
        await asyncio.sleep(0)  # uvloop writes at the end of a turn, and knows only then that it cannot
        while self._is_full:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def is_closing(self) -> bool:
        """Whether it has ended or is about to."""
        return self._transport.is_closing()

    def is_flushed(self) -> bool:
        """Whether all that was written is with the kernel."""
        return not self._transport.get_write_buffer_size()

    def pause_reading(self) -> None:
        """Let the peer wait."""
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def abort(self) -> None:
        """Cut it: whoever closes politely waits for a peer that does not read. The receiver is told by the event loop,
        unless it was taken off before.
        """
        self._keeper.lost(self)
        self._transport.abort()
