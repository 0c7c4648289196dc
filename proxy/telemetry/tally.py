"""Plain counts and histograms, and snapshots of them that add up over processes.

A tally belongs to one thread, the event loop's, so nothing locks. Whoever counts often keeps the Count or the Histogram
that `Tally` gave it: from then on a count costs one addition.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import add
from typing import TypeVar

import msgspec
from msgspec import Struct, field

V = TypeVar("V")

Labels = tuple[str, ...]
"""Values, in the order of their names in families.py."""

Values = dict[str, dict[Labels, float]]
"""By the name of the metric, then by labels."""


@dataclass(slots=True)
class Count:
    """One counter's value. Raise it in place."""

    value: float = 0.0


class Histogram(Struct):
    """One histogram. `counts[i]` observations were at most `bounds[i]` and above the bound before it; the last of the
    counts, which are one more than the bounds, holds what was above all of them.
    """

    bounds: tuple[float, ...]
    counts: list[int]
    sum: float = 0.0

    @classmethod
    def empty(cls, bounds: tuple[float, ...]) -> "Histogram":
        """Nothing was observed yet."""
        return cls(bounds, [0] * (len(bounds) + 1))

    def observe(self, value: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def copy(self) -> "Histogram":
        """As it is now."""
        return Histogram(self.bounds, self.counts[:], self.sum)

    def plus(self, other: "Histogram") -> "Histogram":
        """Both together, as a new one. Raises ValueError if their bounds differ."""
        if self.bounds != other.bounds:
            raise ValueError("histograms with different bounds do not add up")
        counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        return Histogram(self.bounds, counts, self.sum + other.sum)


class Snapshot(Struct, kw_only=True):
    """All series of one process, or of several, at one instant. It shares nothing with what goes on counting."""

    counters: Values = field(default_factory=dict)
    histograms: dict[str, dict[Labels, Histogram]] = field(default_factory=dict)
    levels: Values = field(default_factory=dict)
    """Gauges of which each process holds a part: they add up."""
    peaks: Values = field(default_factory=dict)
    """Gauges in which the processes mirror each other: the highest stands."""

    def remains(self) -> "Snapshot":
        """What is still true when the process has ended: what it counted."""
        return Snapshot(counters=self.counters, histograms=self.histograms)


class Tally:
    """Counters and histograms by name and labels; each begins to exist when it is first asked for."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[Labels, Count]] = {}
        self._histograms: dict[str, dict[Labels, Histogram]] = {}

    def count(self, name: str, *labels: str) -> Count:
        """The counter to raise."""
        return self._counts.setdefault(name, {}).setdefault(labels, Count())

    def histogram(self, name: str, bounds: tuple[float, ...], *labels: str) -> Histogram:
        """The histogram to observe in."""
        return self._histograms.setdefault(name, {}).setdefault(labels, Histogram.empty(bounds))

    def snapshot(self) -> Snapshot:
        """What was counted; histograms without an observation are left out."""
        return Snapshot(
            counters={
                name: {labels: count.value for labels, count in series.items()} for name, series in self._counts.items()
            },
            histograms={
                name: {labels: found.copy() for labels, found in series.items() if any(found.counts)}
                for name, series in self._histograms.items()
            },
        )


def merged(snapshots: Sequence[Snapshot]) -> Snapshot:
    """One snapshot of many processes: see Snapshot for what adds up."""
    return Snapshot(
        counters=_folded([each.counters for each in snapshots], add),
        histograms=_folded([each.histograms for each in snapshots], Histogram.plus),
        levels=_folded([each.levels for each in snapshots], add),
        peaks=_folded([each.peaks for each in snapshots], max),
    )


def _folded(parts: Iterable[Mapping[str, Mapping[Labels, V]]], join: Callable[[V, V], V]) -> dict[str, dict[Labels, V]]:
    folded: dict[str, dict[Labels, V]] = {}
    for name, series in chain.from_iterable(part.items() for part in parts):
        into = folded.setdefault(name, {})
        for labels, value in series.items():
            into[labels] = join(into[labels], value) if labels in into else value
    return folded


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """For another process of the same version."""
    return msgspec.msgpack.encode(snapshot)


def decode_snapshot(encoded: bytes) -> Snapshot:
    """What `encode_snapshot` encoded. Raises msgspec.ValidationError or DecodeError if it is something else."""
    return msgspec.msgpack.decode(encoded, type=Snapshot)
