"""One place in the fleet: its listening sockets, and the worker that accepts from them. Never without one for long."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence

from proxy.workers.member import Member
from proxy.workers.restart import Restarts

Launch = Callable[[Sequence[socket.socket]], Awaitable[Member]]
"""Starts a worker on the sockets. Raises OSError."""

_LOGGER = logging.getLogger("hotspare.fleet")


class Slot:
    """`ready` is set once its first worker accepts connections."""

    def __init__(self, listeners: Sequence[socket.socket], launch: Launch) -> None:
        self.ready = asyncio.Event()
        self._listeners = listeners
        self._launch = launch
        self._restarts = Restarts()
        self._changing = asyncio.Lock()
        self._member: Member | None = None

    async def run(self) -> None:
        """Keep a worker in the place until cancelled. Whoever cancels ends the worker."""
        while True:
            try:
                member = await self._occupy()
            except OSError as error:  # no memory or no process to be had: that passes
                _LOGGER.error("a worker cannot be started: %s", error.strerror)
                await asyncio.sleep(self._restarts.wait_seconds(0.0))
                continue
            if await member.becomes_ready():
                self.ready.set()
            await member.ended.wait()
            if member is self._member:
                await asyncio.sleep(self._restarts.wait_seconds(member.served_seconds))

    async def replace(self) -> Member | None:
        """Put a new worker into the place beside the old one, on the same sockets; once it is ready, returns the old
        one to be drained, or None if there is none. Raises OSError if the new one does not become ready: the old one
        keeps its place then.
        """
        async with self._changing:
            successor = await self._launch(self._listeners)
            if not await successor.becomes_ready():
                raise OSError(None, "the new worker ended before it was ready")
            old, self._member = self._member, successor
            return old

    async def _occupy(self) -> Member:
        async with self._changing:
            if self._member is None or self._member.ended.is_set():
                self._member = await self._launch(self._listeners)
            return self._member
