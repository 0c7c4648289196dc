"""Success ratio over the last seconds: a ring of buckets, constant in memory and in time per outcome."""

from dataclasses import dataclass

_BUCKETS = 10


@dataclass(frozen=True, slots=True)
class Ratio:
    """What the window holds: successes out of outcomes."""

    successes: int
    outcomes: int

    @property
    def success_ratio(self) -> float:
        """Between 0 and 1; an empty window is healthy until proven otherwise."""
        return self.successes / self.outcomes if self.outcomes else 1.0


class RatioWindow:
    """Counts outcomes in ten buckets that together span `window_seconds`.

    Ten is enough: the oldest tenth fades at once instead of outcome by outcome, which at 30 s is an error of 3 s in
    when a burst of failures is forgotten, against a list entry for every request.
    """

    __slots__ = ("_bucket_seconds", "_ends_at", "_outcomes", "_slot", "_successes")

    def __init__(self, window_seconds: float) -> None:
        self._bucket_seconds = window_seconds / _BUCKETS
        self._slot = 0
        self._ends_at = 0.0
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._successes = [0] * _BUCKETS
        self._outcomes = [0] * _BUCKETS

    def add(self, *, success: bool, now: float) -> None:
        """Count one outcome at the monotonic instant `now`."""
        if now >= self._ends_at:
            self._advance(now)
        index = self._slot % _BUCKETS
        self._outcomes[index] += 1
        self._successes[index] += success

    def succeed(self, now: float) -> None:
        """Count a success, as nearly all are: `add` without what it costs to say so."""
        if now >= self._ends_at:
            self._advance(now)
        index = self._slot % _BUCKETS
        self._outcomes[index] += 1
        self._successes[index] += 1

    def ratio(self, now: float) -> Ratio:
        """What is left in the window at `now`."""
        self._advance(now)
        return Ratio(sum(self._successes), sum(self._outcomes))

    def _advance(self, now: float) -> None:
        """Empty the buckets whose time has passed since the last call. A clock that steps back moves nothing."""
        slot = int(now / self._bucket_seconds)
        self._ends_at = (max(slot, self._slot) + 1) * self._bucket_seconds
        if slot <= self._slot:
            return
        for passed in range(max(self._slot + 1, slot - _BUCKETS + 1), slot + 1):
            self._outcomes[passed % _BUCKETS] = self._successes[passed % _BUCKETS] = 0
        self._slot = slot
