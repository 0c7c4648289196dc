"""How a cost grows with the work: flat, linear, or worse."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log

# Exponents of a power law between neighbouring points. With 0.15 a cost rises by two fifths for ten times the work:
# that is noise, colder caches, and fewer events for each wake-up (nginx has 0.1 for streams). 1.15 is linear and noise.
_FLAT = 0.15
_LINEAR = 1.15


@dataclass(frozen=True, slots=True)
class Point:
    """So much work, and what one unit of service then costs."""

    size: float
    cost: float


def exponent(points: Sequence[Point]) -> float:
    """The steepest that the cost grows between neighbours, as a power of the size."""
    return max(log(b.cost / a.cost) / log(b.size / a.size) for a, b in pairwise(points))


def verdict(points: Sequence[Point]) -> str:
    """In a word, with the exponent that it rests on. A cost that falls is flat."""
    steepest = exponent(points)
    word = "flat" if steepest <= _FLAT else "at most linear" if steepest <= _LINEAR else "MORE THAN LINEAR"
    return f"{word} (steepest power {steepest:.2f})"
