"""A drill from its beginning to its report. Who watches it, and how many do, is for those that derive from it."""

from abc import ABC, abstractmethod

from proxy.core.drill_findings import Findings
from proxy.core.drill_report import Drill, End, Report

_LINGER_SECONDS = 10.0
"""After its end, and with the upstream back: as long as a first content may take. Requests of the drill still end."""
_PATIENCE_SECONDS = 900.0
"""After its end in any case. What goes wrong later has other causes."""


class Run(ABC):
    """One drill. All `now` and `_at` are monotonic instants."""

    def __init__(self, number: int, drill: Drill, began_at: float) -> None:
        self.number = number
        self.drill = drill
        self.began_at = began_at
        self.ends_at = began_at + drill.seconds
        self.end: End | None = None
        self.ended_at: float | None = None

    @property
    @abstractmethod
    def findings(self) -> Findings:
        """What has been seen of it so far."""

    @property
    def is_over(self) -> bool:
        """Whether it has ended and the upstreams are back."""
        return self.end is not None and self.findings.returned_at is not None

    def is_closed(self, now: float) -> bool:
        """Whether what happens now has nothing to do with it any more."""
        if self.ended_at is None:
            return False
        return now >= self.ended_at + (_LINGER_SECONDS if self.is_over else _PATIENCE_SECONDS)

    def ended(self, now: float, end: End) -> None:
        """The drill is over."""
        self.end, self.ended_at = end, now

    def report(self, now: float) -> Report:
        """All that is known by now."""
        ended_at, found = self.ended_at, self.findings
        return Report(
            number=self.number,
            upstreams=self.drill.upstreams,
            model=self.drill.model,
            shape=self.drill.shape,
            share=self.drill.share,
            stated_seconds=self.drill.seconds,
            ran_seconds=(now if ended_at is None else ended_at) - self.began_at,
            end=self.end,
            attempts_broken=found.broken,
            affected=found.rescued + found.failed + found.left,
            rescued=found.rescued,
            failed=found.failed,
            left=found.left,
            detect_seconds=_between(found.broken_at, found.detected_at),
            rescue_seconds=found.rescue_seconds,
            mean_rescue_seconds=found.total_rescue_seconds / found.timed_rescues if found.timed_rescues else None,
            longest_rescue_seconds=found.longest_rescue_seconds if found.timed_rescues else None,
            first_answer_seconds=_between(ended_at, found.answered_at),
            return_seconds=_between(ended_at, found.returned_at),
        )


def _between(start: float | None, end: float | None) -> float | None:
    """No less than 0: what one process calls the end, another one may call so a moment later."""
    return None if start is None or end is None else max(end - start, 0.0)
