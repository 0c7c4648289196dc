"""The only reader of time. Everybody else is handed a Clock, so that a test can hand over its own."""

import time
from typing import Protocol


class Clock(Protocol):
    """Two readings: one for measuring, one for people."""

    def monotonic(self) -> float:
        """Seconds since some fixed instant; never goes back."""
        ...

    def wall(self) -> float:
        """Seconds since the Unix epoch."""
        ...


class SystemClock:
    """The machine's clock. The functions themselves, without a frame around them: they are read for every event."""

    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)
