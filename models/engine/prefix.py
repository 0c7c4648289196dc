"""Common beginnings of token sequences."""

from typing import Final

MIN_TOKENS: Final = 16
"""Sharing less is not worth a copy: a chat template alone has some ten tokens in common with any other prompt."""

_BLOCK: Final = 64


def common_prefix(one: list[int], other: list[int]) -> int:
    """The length of the common beginning. Lists are compared in C, block by block."""
    limit = min(len(one), len(other))
    start = 0
    while start < limit and one[start : start + _BLOCK] == other[start : start + _BLOCK]:
        start += _BLOCK
    if start >= limit:
        return limit
    end = min(start + _BLOCK, limit)
    return next((index for index in range(start, end) if one[index] != other[index]), end)
