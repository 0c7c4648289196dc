"""Sets of characters, as ranges of code points."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final

# Sorted, disjoint, not adjacent; both ends included.
CharSet = tuple[tuple[int, int], ...]

LAST: Final = 0x10FFFF


def of(ranges: Iterable[tuple[int, int]]) -> CharSet:
    """The union of these ranges, in any order."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return tuple(merged)


def chars(text: str) -> CharSet:
    """The characters of a text."""
    return of((ord(char), ord(char)) for char in text)


def complement(members: CharSet) -> CharSet:
    """All other code points."""
    return tuple(_gaps(members))


def _gaps(members: CharSet) -> Iterator[tuple[int, int]]:
    start = 0
    for low, high in members:
        if start < low:
            yield start, low - 1
        start = high + 1
    if start <= LAST:
        yield start, LAST


def union(*sets: CharSet) -> CharSet:
    """What is in any of them."""
    return of(part for members in sets for part in members)


def intersection(a: CharSet, b: CharSet) -> CharSet:
    """What is in both."""
    return complement(union(complement(a), complement(b)))


def contains(members: CharSet, code: int) -> bool:
    """Whether a code point is in the set."""
    for low, high in members:  # noqa: SIM110 - any() takes three times as long, and this is asked most of all
        if low <= code <= high:
            return True
    return False


def classes(sets: Iterable[CharSet], alphabet: CharSet) -> list[CharSet]:
    """Cut an alphabet into the classes whose members the sets do not tell apart."""
    groups: dict[tuple[bool, ...], list[tuple[int, int]]] = {}
    distinct = list(dict.fromkeys(sets))
    edges = sorted({edge for members in (*distinct, alphabet) for low, high in members for edge in (low, high + 1)})
    for low, following in pairwise(edges):
        if contains(alphabet, low):
            groups.setdefault(tuple(contains(one, low) for one in distinct), []).append((low, following - 1))
    return [of(ranges) for ranges in groups.values()]


SURROGATES: Final[CharSet] = ((0xD800, 0xDFFF),)
# What a string can hold without an escape made of numbers.
TEXT: Final = complement(of([(0x00, 0x07), (0x0B, 0x0B), (0x0E, 0x1F), *SURROGATES]))
