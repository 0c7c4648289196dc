"""How long a stream's first content is waited for, learnt from how long it usually takes.

A fixed limit is wrong for most: a small model that answers in 300 ms and is given 10 s costs every client of an outage
9.7 s, and a large one that needs 8 s on a busy day is called dead on the next.

The limit is four times the 95th percentile: what one stream in twenty takes is usual, four times of that is not. It has
bounds, because an upstream that slows down step by step drags its own limit along: what is waited for is also what is
learnt from.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from math import inf
from typing import Final

from proxy.core.quantile import RecentQuantile

UNLEARNT_SECONDS: Final = 10.0
"""Until there is anything to go by. Clouds answer within 1-3 s; in the slow outages on record (2024-12-04, 2025-06-10)
it took them 30-40 s."""

REASONING_MODELS: Final = ("o1*", "o3*", "o4*", "gpt-5*", "*-thinking", "*reason*")
"""They think before they say the first word, for longer the harder the question is: what was usual says less."""

LONG_PROMPT_BYTES: Final = 50_000
"""About 12,000 tokens, which take seconds to read. They get more time, and the others learn nothing from them."""

_WINDOW_SECONDS: Final = 900.0
_LEAST_OBSERVATIONS: Final = 20
"""With fewer of them the 95th percentile would be the slowest of all."""

_SHARE: Final = 0.95
_MULTIPLE: Final = 4.0
_MIN_SECONDS: Final = 5.0
_MAX_SECONDS: Final = 60.0
EXTRA: Final = 3.0
_FRESH_SECONDS: Final = 5.0


def is_reasoning(model: str, patterns: Sequence[str]) -> bool:
    """Whether its name is that of a model that thinks first."""
    return any(fnmatchcase(model, pattern) for pattern in patterns)


class Patience:
    """Of one (upstream, model). It is told the monotonic instant `now`."""

    __slots__ = ("_fresh_until", "_is_reasoning", "_recent", "_usual")

    def __init__(self, *, is_reasoning: bool = False) -> None:
        self._is_reasoning = is_reasoning
        self._recent: RecentQuantile | None = None  # most names that clients invent are never answered
        self._usual: float | None = None
        self._fresh_until = -inf

    def observe(self, seconds: float, now: float) -> None:
        """A stream's first content came so long after its request."""
        if self._recent is None:
            self._recent = RecentQuantile(_WINDOW_SECONDS)
        self._recent.add(seconds, now)

    def usual_seconds(self, now: float) -> float | None:
        """By then 95 of 100 streams have shown content; None until that is known. It may be 5 s old."""
        if now >= self._fresh_until:
            self._fresh_until = now + _FRESH_SECONDS
            self._usual = self._learn(now)
        return self._usual

    def limit_seconds(self, now: float, *, is_long: bool = False) -> float:
        """From the request to the first content. `is_long`: the prompt is very long."""
        usual = self.usual_seconds(now)
        limit = UNLEARNT_SECONDS if usual is None else min(max(usual * _MULTIPLE, _MIN_SECONDS), _MAX_SECONDS)
        return limit * EXTRA if is_long or self._is_reasoning else limit

    def _learn(self, now: float) -> float | None:
        if self._recent is None:
            return None
        usual = self._recent.quantile(_SHARE, now)
        return usual if self._recent.count >= _LEAST_OBSERVATIONS else None
