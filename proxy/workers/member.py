"""A worker as the fleet sees it: a process, the link to it, and the last that it told of itself."""

import asyncio
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from proxy.clock import Clock
from proxy.workers.link import Link
from proxy.workers.messages import Begin, Counted, Drain, Ready, ToFleet, ToWorker, decode_to_fleet

START_SECONDS: Final = 60.0
"""Time to become ready. It takes half a second; a worker that has not made it after so long never will."""

SILENT_TICKS: Final = 30
"""Reports come every second. After so many without one the event loop stands still, and with it a share of all
clients: each connection is bound to the worker that the kernel dealt it to."""


class Member:
    """`hear` gets what concerns more than this worker."""

    def __init__(self, number: int, clock: Clock, hear: Callable[["Member", ToFleet], None]) -> None:
        self.number = number
        """Never the same for two workers of one fleet."""
        self.last: Counted | None = None
        """Its last report."""
        self.ended = asyncio.Event()
        """Set when the process is gone and all that it said is heard."""
        self.is_draining = False
        """Whether it has been told to go."""
        self._clock = clock
        self._hear = hear
        self._link = Link(decode_to_fleet, self._receive)
        self._process: asyncio.subprocess.Process | None = None
        self._ready_at: float | None = None
        self._settled = asyncio.Event()
        self._reported = asyncio.Event()
        self._silent_ticks = 0

    async def start(self, listeners: Sequence[socket.socket], begin: Begin) -> None:
        """Start the process. Raises OSError."""
        ours, theirs = socket.socketpair()
        descriptors = [theirs.fileno(), *(listener.fileno() for listener in listeners)]
        with theirs:
            try:
                # -P: a folder `proxy` where the fleet was started is somebody else's. A session of its own: Ctrl-C in a
                # terminal is for the fleet alone.
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", "proxy.workers", *map(str, descriptors)),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=descriptors,
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        await self._link.open(ours)
        self.send(begin)

    def send(self, message: ToWorker) -> None:
        """Tell it something."""
        self._link.send(message)

    async def becomes_ready(self) -> bool:
        """Wait until it accepts connections, or does not any more."""
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._settled.wait()
        except TimeoutError:
            self.kill()
        return not self.ended.is_set() and self._ready_at is not None

    async def reports(self, number: int) -> None:
        """Wait for its answer to the Report of that number, or for its end."""
        while not self.ended.is_set() and (self.last is None or self.last.number < number):
            self._reported.clear()
            await self._reported.wait()

    async def ends(self) -> str:
        """Wait for its end; returns how it ended, for people."""
        assert self._process
        code = await self._process.wait()
        await self._link.closed.wait()  # the last report may still lie there
        self.ended.set()
        self._settled.set()
        self._reported.set()
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exited with status {code}"

    async def drain(self, linger_seconds: float, limit_seconds: float) -> None:
        """Ask it to finish and go; make it go after `limit_seconds`."""
        self.is_draining = True
        self.send(Drain(linger_seconds))
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_seconds):
                await self.ended.wait()
                return
        self.kill()
        await self.ended.wait()

    def kill(self) -> None:
        """At once."""
        if self._process and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()

    def tick(self) -> bool:
        """A second has passed. Returns whether it has been silent for too long.

        Ticks are counted and not seconds, so that a fleet that was itself suspended blames nobody.
        """
        self._silent_ticks += 1
        return self._ready_at is not None and self._silent_ticks > SILENT_TICKS

    @property
    def served_seconds(self) -> float:
        """Since it became ready; 0 if it has not."""
        return 0.0 if self._ready_at is None else self._clock.monotonic() - self._ready_at

    def _receive(self, message: ToFleet) -> None:
        self._silent_ticks = 0
        match message:
            case Ready():
                self._ready_at = self._clock.monotonic()
                self._settled.set()
            case Counted():
                self.last = message
                self._reported.set()
        self._hear(self, message)
