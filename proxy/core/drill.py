"""Drills: upstreams are made to look dead, in one shape, for a share of the requests and a stated time.

`Drills` owns what runs. It is asked with a number drawn once for each request, and its time ends by the clock it is
asked with: whoever forgets to stop a drill finds it over all the same.
"""

from collections.abc import Sequence

from proxy.core.drill_course import played
from proxy.core.drill_record import Record
from proxy.core.drill_report import Shape
from proxy.core.drill_series import Series

MAX_SECONDS = 3600.0
"""A drill is watched by somebody. An hour is as long as the longest outage that anybody wants to sit through."""
ALL = "all"
"""What an order calls all clouds. The local model is named by itself or not at all."""


def meant(names: Sequence[str], clouds: Sequence[str]) -> tuple[str, ...]:
    """The upstreams that an order names, each once: the first cloud where it names none."""
    spread = [each for name in names or clouds[:1] for each in (clouds if name == ALL else (name,))]
    return tuple(dict.fromkeys(spread))


class Drills(Series[Record]):
    """Those of one process. All `now` are monotonic instants."""

    def __init__(self) -> None:
        super().__init__(Record)

    def shape(self, upstream: str, model: str, draw: float, now: float) -> Shape | None:
        """How an attempt at that model of `upstream` is to fail, if it is; `draw` is from 0 up to but not 1, the
        request's own.
        """
        record = self.running(now)
        if record is None or not record.drill.covers(upstream, model):
            return None
        shape = played(record.drill, draw, now - record.began_at, has_broken=record.has_broken)
        if shape is not None:
            record.broke(now)
        return shape
