"""Quantiles of what was seen in the last minutes, in constant memory and time.

A ring of histograms, one for each slice of the window, and their sum. Bins are spaced by a constant factor, so that an
answer is at most a tenth too high whatever the scale, as in DDSketch (Masson, Rim, Lee, 2019) without its growing.
"""

from array import array
from math import ceil, log
from typing import Final

_SLICES: Final = 15
_LEAST: Final = 0.01
_FACTOR: Final = 1.1
_BINS: Final = 100
"""From 10 ms to two minutes. What lies beyond counts as if it lay at the end."""

_LOG_FACTOR: Final = log(_FACTOR)


def _empty() -> "array[int]":
    return array("I", bytes(4 * _BINS))


class RecentQuantile:
    """Of values in seconds, over the last `window_seconds`. It is told the monotonic instant `now`."""

    __slots__ = ("_ring", "_slice_seconds", "_slot", "_total", "count")

    def __init__(self, window_seconds: float) -> None:
        self._slice_seconds = window_seconds / _SLICES
        self._ring = [_empty() for _ in range(_SLICES)]
        self._total = _empty()
        self._slot = 0
        self.count = 0
        """Values in the window, as of the last call."""

    def add(self, seconds: float, now: float) -> None:
        """One more value."""
        self._advance(now)
        index = _bin(seconds)
        self._ring[self._slot % _SLICES][index] += 1
        self._total[index] += 1
        self.count += 1

    def quantile(self, share: float, now: float) -> float | None:
        """At least `share` of the values are at most so large; a tenth may be rounding. None without values."""
        self._advance(now)
        if not self.count:
            return None
        missing = ceil(share * self.count)
        for index, count in enumerate(self._total):
            missing -= count
            if missing <= 0:
                return float(_LEAST * _FACTOR**index)
        raise AssertionError("the total holds as many values as the count says")

    def _advance(self, now: float) -> None:
        """Empty the slices whose time has passed. A clock that steps back moves nothing."""
        slot = int(now / self._slice_seconds)
        for passed in range(max(self._slot + 1, slot - _SLICES + 1), slot + 1):
            self._drop(passed % _SLICES)
        self._slot = max(slot, self._slot)

    def _drop(self, position: int) -> None:
        old = self._ring[position]
        dropped = sum(old)
        if dropped:
            for index, count in enumerate(old):
                self._total[index] -= count
            self.count -= dropped
            self._ring[position] = _empty()


def _bin(seconds: float) -> int:
    """The first bin whose upper bound is not below it."""
    if seconds <= _LEAST:
        return 0
    return min(ceil(log(seconds / _LEAST) / _LOG_FACTOR), _BINS - 1)
