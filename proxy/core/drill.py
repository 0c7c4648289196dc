"""Drills: an upstream is made to look dead, in one shape, for a share of the requests and a stated time.

`Drills` owns what runs. It is asked with a number drawn once for each request, and its time ends by the clock it is
asked with: whoever forgets to stop a drill finds it over all the same.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from proxy.core.drill_record import Record
from proxy.core.drill_report import Drill, End, Shape

MAX_SECONDS = 3600.0
"""A drill is watched by somebody. An hour is as long as the longest outage that anybody wants to sit through."""
FLAP_SECONDS = 5.0
"""For so long an upstream that flaps is dead, and then well."""
KEPT = 10
"""Reports that can still be read."""


@dataclass(slots=True)
class Drills:
    """One drill at a time. All `now` are monotonic instants."""

    _records: deque[Record] = field(default_factory=lambda: deque(maxlen=KEPT))
    _started: int = 0

    def start(self, drill: Drill, now: float) -> Record | None:
        """Begin; None while another drill runs."""
        if self.running(now) is not None:
            return None
        self._started += 1
        self._records.append(Record(self._started, drill, now))
        return self._records[-1]

    def running(self, now: float) -> Record | None:
        """The drill that runs, if one does."""
        last = self.last
        if last is None or last.end is not None:
            return None
        if now >= last.ends_at:
            last.ended(last.ends_at, End.TIME)
            return None
        return last

    def stop(self, end: End, now: float) -> Record | None:
        """End what runs; it, if there was anything."""
        record = self.running(now)
        if record is not None:
            record.ended(now, end)
        return record

    def shape(self, upstream: str, draw: float, now: float) -> Shape | None:
        """How an attempt at `upstream` is to fail, if it is; `draw` is from 0 up to but not 1, the request's own."""
        record = self.running(now)
        if record is None or record.drill.upstream != upstream or draw >= record.drill.share:
            return None
        shape = _played(record.drill.shape, now - record.began_at)
        if shape is not None:
            record.broke(now)
        return shape

    @property
    def last(self) -> Record | None:
        """The newest, whether it runs or not."""
        return self._records[-1] if self._records else None

    def __iter__(self) -> Iterator[Record]:
        """Those that are kept, oldest first."""
        return iter(self._records)


def _played(shape: Shape, seconds: float) -> Shape | None:
    """What that shape comes to, so long after the drill's beginning."""
    if shape is not Shape.FLAPPING:
        return shape
    return None if int(seconds // FLAP_SECONDS) % 2 else Shape.STATUS_503
