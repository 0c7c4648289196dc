"""Whether an upstream that still serves should be watched. It is no state of the breaker and refuses nobody: it wakes
the local model where that rests, and lets it start beside requests earlier.

So it may be wrong often, and has to be early: one hard failure is enough. It ends by success or by time.
"""

from math import inf
from typing import Final

from proxy.core.word import Word

RATIO: Final = 0.8
MINIMUM: Final = 5
"""Also under four fifths of at least five outcomes: failures that are not hard (429) make an upstream suspect too once
they are many. It is half way between well and what trips the breaker."""

_SUCCESSES: Final = 5
"""So many in a row end it. An upstream that fails one request in five shows them by chance one time in three, a busy
one that had a single bad connection within a moment."""

_SECONDS: Final = 60.0
"""And so does this time, for those that are hardly asked: whatever had to be woken is awake by then."""


class Doubt(Word):
    """Why an upstream is suspect; a metric label."""

    FAILURE = "failure"
    RATIO = "ratio"
    CHECK = "check"
    IMPATIENCE = "impatience"


class Suspicion:
    """Of one (upstream, model). It is told the monotonic instant `now`."""

    __slots__ = ("_told_at", "_until", "_wanted")

    def __init__(self) -> None:
        self._wanted = 0
        self._until = self._told_at = -inf

    def arise(self, now: float) -> bool:
        """There is a reason. Whether that has to be told: it did not hold before, or a minute has passed since."""
        is_news = not self.is_on(now) or now >= self._told_at + _SECONDS
        if is_news:
            self._told_at = now
        self._wanted = _SUCCESSES
        self._until = now + _SECONDS
        return is_news

    def succeed(self) -> None:
        """A request went well."""
        if self._wanted:
            self._wanted -= 1

    def is_on(self, now: float) -> bool:
        """Whether it holds."""
        return self._wanted > 0 and now < self._until
