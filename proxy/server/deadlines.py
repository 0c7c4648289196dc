"""Time limits of everything under way: one look at all of them now and then, instead of a timer for each."""

import asyncio
from typing import Protocol

from proxy.clock import Clock

PERIOD_SECONDS = 0.05
"""How late a limit may be noticed. Five thousand streams cost 0.3 ms a look."""


class Limited(Protocol):
    """Something that must not take for ever."""

    limit_at: float
    """The monotonic instant of its limit; it may be moved at any time, and costs an assignment."""

    def expire(self) -> None:
        """The limit has passed. It is no longer watched."""
        ...


class Deadlines:
    """Owner of what is being watched."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._watched: set[Limited] = set()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, limited: Limited) -> None:
        """Look after it until `forget`."""
        self._watched.add(limited)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PERIOD_SECONDS, self._look)

    def forget(self, limited: Limited) -> None:
        """It is over."""
        self._watched.discard(limited)

    def close(self) -> None:
        """Watch nothing any more."""
        self._watched.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        now = self._clock.monotonic()
        late = [limited for limited in self._watched if limited.limit_at <= now]
        try:
            for limited in late:
                if limited in self._watched:  # one that expires may take others with it
                    self._watched.discard(limited)
                    limited.expire()
        finally:
            # An idle process does not wake up.
            if self._watched and self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(PERIOD_SECONDS, self._look)
