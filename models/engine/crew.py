"""How many threads compute a step: as many as may, unless fewer are faster. Pure.

llama.cpp's threads wait for each other some hundred times a step. Where another program takes one of their cores away,
all of them wait for the slowest, and do so spinning: two threads beside one busy program have been seen to take from
two to twenty times as long as one thread alone. A sidecar shares its cores with the program that it serves, so this is
found out by trying, again and again: now and then a step is computed by fewer threads (or more, where they are fewer
already), its neighbour by as many as usual, and whoever was clearly faster stays.

Trials are rare where they fail: each one that does doubles the time to the next.
"""

import itertools
import math
from fractions import Fraction
from typing import Final

_CLEARLY: Final = 0.93
"""Faster than this part of the usual time: less may be chance."""

_OVERWHELMINGLY: Final = 0.5
"""No second look is needed."""

_PAIRS: Final = 3
"""So many comparisons in a row must speak for a change."""

_SIMILAR: Final = 1.25
"""Steps whose numbers of tokens differ by more than this factor are not compared."""

_REST_SECONDS: Final = (2.0, 60.0)
"""Computing time between two trials: at first, and at most."""

_SHOCK: Final = 3.0
"""A step so many times slower than the usual one is a reason to try now."""

_CALM_SECONDS: Final = 1.0
"""Not so soon after the last trial, though."""

_FEW_TOKENS: Final = 64
"""Steps of more read prompts, and are long: a trial on them would cost more than it gains."""

_MEMORY: Final = 0.1
_STRIDES: Final = (Fraction(3, 4), Fraction(4, 3), Fraction(1, 2), Fraction(2))
"""What is tried in turn, as parts of the present number: near ones find the best, far ones cross a plain."""


class Crew:
    """Owner of the number.

    Args:
        most: threads that may be used.
        least: that have to be.

    """

    def __init__(self, most: int, least: int = 1) -> None:
        self._most = most
        self._least = least
        self._size = most
        self._trial: _Trial | None = None
        self._rest_seconds = _REST_SECONDS[0]
        self._rested_seconds = 0.0
        self._usual_seconds: dict[int, float] = {}
        """Of steps of about so many tokens, by the binary logarithm."""
        self._strides = itertools.cycle(_STRIDES)

    @property
    def threads(self) -> int:
        """For the next step."""
        return self._size if self._trial is None else self._trial.threads

    def observe(self, tokens: int, seconds: float) -> None:
        """A step of so many tokens has taken so long with `threads`."""
        if self._trial is not None:
            self._weigh(self._trial, tokens, seconds)
        elif self._most > self._least and self._is_due(tokens, seconds):
            self._trial = _Trial(self._size, self._other())

    def _is_due(self, tokens: int, seconds: float) -> bool:
        kind = tokens.bit_length()
        usual = self._usual_seconds.setdefault(kind, seconds)
        self._usual_seconds[kind] += _MEMORY * (seconds - usual)
        self._rested_seconds += seconds
        is_shock = seconds > _SHOCK * usual and self._rested_seconds > _CALM_SECONDS
        return tokens <= _FEW_TOKENS and (is_shock or self._rested_seconds >= self._rest_seconds)

    def _other(self) -> int:
        """The next size to try; there is one."""
        sizes = (self._scaled(stride) for stride in self._strides)
        return next(size for size in sizes if size != self._size)

    def _scaled(self, stride: Fraction) -> int:
        wanted = math.floor(self._size * stride) if stride < 1 else math.ceil(self._size * stride)
        return min(max(wanted, self._least), self._most)

    def _weigh(self, trial: "_Trial", tokens: int, seconds: float) -> None:
        is_won = trial.observe(tokens, seconds)
        if is_won is None:
            return
        least, most = _REST_SECONDS
        self._rest_seconds = least if is_won else min(2 * self._rest_seconds, most)
        self._rested_seconds = 0.0
        self._trial = None
        if is_won:
            self._size = trial.challenger
            self._usual_seconds.clear()


class _Trial:
    """Compares two numbers of threads on pairs of steps that follow each other."""

    def __init__(self, holder: int, challenger: int) -> None:
        self._holder = holder
        self.challenger = challenger
        self._first: tuple[int, float] | None = None
        """Tokens and seconds of the challenger's half of a pair."""
        self._costs = [0.0, 0.0]
        """Seconds per token of the challenger and of the holder, summed over the pairs."""
        self._pairs = 0

    @property
    def threads(self) -> int:
        return self.challenger if self._first is None else self._holder

    def observe(self, tokens: int, seconds: float) -> bool | None:
        """Whether the challenger has won; None while that is open."""
        if self._first is None:
            self._first = tokens, seconds
            return None
        (first_tokens, first_seconds), self._first = self._first, None
        if max(tokens, first_tokens) > _SIMILAR * min(tokens, first_tokens):
            return None
        self._costs[0] += first_seconds / first_tokens
        self._costs[1] += seconds / tokens
        self._pairs += 1
        return self._verdict(self._costs[0] / self._costs[1])

    def _verdict(self, ratio: float) -> bool | None:
        if ratio > _CLEARLY:
            return False
        return True if ratio < _OVERWHELMINGLY or self._pairs == _PAIRS else None
