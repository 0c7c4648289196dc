"""A clock that shows another time on the wall."""

from datetime import timedelta

from proxy.clock import SystemClock


class ShiftedClock(SystemClock):
    """The machine's, but for what it shows on the wall."""

    def __init__(self, shift: timedelta) -> None:
        self._shift_seconds = shift.total_seconds()

    def wall(self) -> float:  # type: ignore[override]  # a function there, for speed
        return SystemClock.wall() + self._shift_seconds
