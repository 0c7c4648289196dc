"""Closed sets of words."""

from enum import StrEnum


class Word(StrEnum):
    """An enumeration whose members stand as keys and labels on the hot path.

    `Enum` hashes by a method in Python, which costs more than the search it is for; a string's hash is as good.
    """

    __hash__ = str.__hash__
