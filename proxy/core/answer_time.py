"""When an unstreamed answer is late, learnt from how long such answers usually take.

A stream that is well says something within a second or two. An unstreamed answer is silent until it is there, for as
long as it is: what is late for a classification is early for an essay. Nothing tells the length of an answer
beforehand, but for what the request allows. So answers are told apart by that, and only the understudy goes by it: it
costs nothing but local work to be wrong about. An upstream that is well may take until the deadline all the same. Only
one that is suspect has to yield, see `core/action.py`.
"""

from bisect import bisect_left
from typing import Final

from proxy.core.patience import EXTRA, Patience

_BOUNDS: Final = (64, 512)
"""In tokens: a label or a sentence, a paragraph, and whatever is longer. A cloud writes 50-100 of them a second."""
_UNSAID: Final = len(_BOUNDS) + 1
"""Nobody has said how long it may be. The model decides, so that these are a kind of their own."""

LESSON_SECONDS: Final = 0.05
"""One answer in so long a time is learnt from: twenty a second say what a thousand would, and cost next to nothing."""


class AnswerTimes:
    """Of one (upstream, model). It is told the monotonic instant `now`."""

    __slots__ = ("_extra", "_kinds")

    def __init__(self, *, is_reasoning: bool = False) -> None:
        self._extra = EXTRA if is_reasoning else 1.0
        self._kinds: dict[int, Patience] = {}

    def observe(self, seconds: float, tokens: int | None, now: float) -> None:
        """A whole answer came so long after its request, which allowed `tokens`; None: it did not say."""
        self._kinds.setdefault(_kind(tokens), Patience()).observe(seconds, now)

    def usual_seconds(self, tokens: int | None, now: float) -> float | None:
        """By then 95 of 100 such answers are there; None until that is known.

        Three times as long for models that think first, as in core/patience.py.
        """
        kind = self._kinds.get(_kind(tokens))
        usual = kind.usual_seconds(now) if kind else None
        return None if usual is None else usual * self._extra


def _kind(tokens: int | None) -> int:
    return _UNSAID if tokens is None else bisect_left(_BOUNDS, tokens)
