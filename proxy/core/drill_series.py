"""One drill after the other, never two at a time. A drill's time ends by the clock that is asked with."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from proxy.core.drill_report import Drill, End
from proxy.core.drill_run import Run

KEPT = 10
"""Reports that can still be read."""

R = TypeVar("R", bound=Run)


class Series(Generic[R]):
    """The last drills, and which of them runs. `make` gives the record of a number, a drill and its beginning; all
    `now` are monotonic instants.
    """

    def __init__(self, make: Callable[[int, Drill, float], R]) -> None:
        self._make = make
        self._records: deque[R] = deque(maxlen=KEPT)
        self._started = 0

    def start(self, drill: Drill, now: float) -> R | None:
        """Begin; None while another drill runs."""
        return self.join(self._started + 1, drill, now) if self.running(now) is None else None

    def join(self, number: int, drill: Drill, began_at: float) -> R:
        """One that somebody else has begun, and given its number."""
        self._started = number
        self._records.append(self._make(number, drill, began_at))
        return self._records[-1]

    def running(self, now: float) -> R | None:
        """The drill that runs, if one does."""
        last = self.last
        if last is None or last.end is not None:
            return None
        if now >= last.ends_at:
            last.ended(last.ends_at, End.TIME)
            return None
        return last

    def stop(self, end: End, now: float) -> R | None:
        """End what runs; it, if there was anything."""
        record = self.running(now)
        if record is not None:
            record.ended(now, end)
        return record

    @property
    def last(self) -> R | None:
        """The newest, whether it runs or not."""
        return self._records[-1] if self._records else None

    def __iter__(self) -> Iterator[R]:
        """Those that are kept, oldest first."""
        return iter(self._records)
