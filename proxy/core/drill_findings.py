"""What one process has seen of a drill, and how such findings of several become those of all.

All `_at` are monotonic instants, None for what has not happened. The processes of a machine share that clock.
"""

from collections.abc import Iterable
from math import inf

from msgspec import Struct


class Findings(Struct):
    """Of one process, or of several together. Whoever watches the drill adds to them as it goes on."""

    broken: int = 0
    """Attempts."""
    broken_at: float | None = None
    """The first of them."""
    detected_at: float | None = None
    """The first breaker opened."""
    rescued: int = 0
    failed: int = 0
    left: int = 0
    """Affected requests, by how they ended for their clients."""
    rescued_at: float | None = None
    """The end of the first rescued request whose rescue was timed."""
    rescue_seconds: float | None = None
    """How long that one waited."""
    longest_rescue_seconds: float = 0.0
    total_rescue_seconds: float = 0.0
    timed_rescues: int = 0
    answered_at: float | None = None
    """The first answer of a drilled upstream after the drill."""
    returned_at: float | None = None
    """After the drill, no breaker of a drilled upstream held back anything any more."""

    def note_rescue(self, seconds: float, now: float) -> None:
        """A request was rescued after so long. No list is kept: a drill on a busy proxy rescues a million requests."""
        if self.rescued_at is None:
            self.rescued_at, self.rescue_seconds = now, seconds
        self.longest_rescue_seconds = max(self.longest_rescue_seconds, seconds)
        self.total_rescue_seconds += seconds
        self.timed_rescues += 1


def nothing() -> Findings:
    """Those of a process that is not there: merged with others' they change nothing."""
    return Findings(returned_at=-inf)


def merged(findings: Iterable[Findings]) -> Findings:
    """What all have seen. Theirs is back when nobody's is away: where one still waits, all do. There must be one."""
    every = list(findings)
    first = min(every, key=_rescued_at)
    return Findings(
        broken=sum(each.broken for each in every),
        broken_at=_earliest(each.broken_at for each in every),
        detected_at=_earliest(each.detected_at for each in every),
        rescued=sum(each.rescued for each in every),
        failed=sum(each.failed for each in every),
        left=sum(each.left for each in every),
        rescued_at=first.rescued_at,
        rescue_seconds=first.rescue_seconds,
        longest_rescue_seconds=max(each.longest_rescue_seconds for each in every),
        total_rescue_seconds=sum(each.total_rescue_seconds for each in every),
        timed_rescues=sum(each.timed_rescues for each in every),
        answered_at=_earliest(each.answered_at for each in every),
        returned_at=_when_all(each.returned_at for each in every),
    )


def _rescued_at(findings: Findings) -> float:
    return inf if findings.rescued_at is None else findings.rescued_at


def _earliest(instants: Iterable[float | None]) -> float | None:
    return min((instant for instant in instants if instant is not None), default=None)


def _when_all(instants: Iterable[float | None]) -> float | None:
    known = list(instants)
    return None if None in known else max(instant for instant in known if instant is not None)
