"""Rules of grammars as `models.schema.rulebook` takes them, letter by letter."""

from collections.abc import Iterable
from typing import Final, TypeAlias

from models.schema.rulebook import literal

Rule: TypeAlias = tuple[str, list[list[str]]]
"""A name, and the alternatives that it stands for: each of them terminals and names."""

NOTHING: Final = literal("")


def one_of(letters: Iterable[str]) -> str:
    """The terminal for one of some letters."""
    return f"[{''.join(map(_escaped, letters))}]"


def none_of(letters: Iterable[str]) -> str:
    """The terminal for any other letter."""
    return f"[^{''.join(map(_escaped, letters)) or _escaped(chr(0))}]"


def _escaped(letter: str) -> str:
    return letter if letter.isalnum() else f"\\x{ord(letter):02x}"
