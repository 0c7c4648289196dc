"""Reads one value of the user's catalogue after the other and collects what is wrong with them. Pure.

A reader takes a value and returns what it means, or raises `Wrong` with what it should have been. `Section` reads the
keys of a mapping by a table of readers; whatever fails is noted under its place, and the rest is read all the same.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

Reader: TypeAlias = Callable[[object], Any]

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_REPO: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_REVISION: Final = re.compile(r"[A-Za-z0-9][\w./-]*")
_PART: Final = re.compile(r"[^\W_][\w.+-]*")
_REQUIREMENT: Final = re.compile(r"[A-Za-z0-9][\w.-]*==[\w.!+]+")
_HOTTEST: Final = 2


class Wrong(Exception):
    """A value that cannot be meant.

    Args:
        remedy: what it must be.
        place: where below the value, if deeper.

    """


def whole(value: object) -> int:
    """A number of bytes, tokens or the like."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise Wrong(f"must be a whole number above 0, not {value!r}")
    return value


def temperature(value: object) -> float:
    """What OpenAI takes for one."""
    return _between(value, 0, _HOTTEST)


def share(value: object) -> float:
    """A part of one."""
    return _between(value, 0, 1)


def words(value: object) -> str:
    """Any text in one line that can be printed."""
    if not isinstance(value, str) or not value.isprintable() or not value.strip():
        raise Wrong(f"must be a text in one line, not {value!r}")
    return value


def digest(value: object) -> str:
    """A SHA-256."""
    if not isinstance(value, str) or not _DIGEST.fullmatch(value.lower()):
        raise Wrong("must be the 64 hexadecimal digits that `sha256sum FILE` prints, in quotes")
    return value.lower()


def repo(value: object) -> str:
    """A repository of the hub."""
    if not isinstance(value, str) or not _REPO.fullmatch(value) or ".." in value:
        raise Wrong(f"must be OWNER/NAME as the hub's address has it, not {value!r}")
    return value


def revision(value: object) -> str:
    """A branch, tag or commit."""
    if not isinstance(value, str) or not _REVISION.fullmatch(value) or ".." in value:
        raise Wrong(f"must be a branch, a tag or a commit, in quotes, not {value!r}")
    return value


def requirement(value: object) -> str:
    """A package in one version, and no option of pip's."""
    if not isinstance(value, str) or not _REQUIREMENT.fullmatch(value):
        raise Wrong(f"must be PACKAGE==VERSION, not {value!r}")
    return value


def member(value: object) -> str:
    """The path of a GGUF file below something; it leads nowhere else."""
    if not isinstance(value, str) or not value.endswith(".gguf"):
        raise Wrong(f"must be the path of a .gguf file, not {value!r}")
    if not all(_PART.fullmatch(part) for part in value.split("/")):
        raise Wrong(f"must be a path of plain names, without `..` and not from the root, not {value!r}")
    return value


def _between(value: object, least: float, most: float) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
        raise Wrong(f"must be a number from {least} to {most}, not {value!r}")
    return float(value)


class Faults:
    """What is wrong, in the order in which it was found."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, place: str, remedy: str) -> None:
        """Add one."""
        self.lines.append(f"{place}: {remedy}")

    def section(self, value: object, place: str, readers: Mapping[str, Reader]) -> dict[str, Any]:
        """The values of a mapping that could be read, by key."""
        if not isinstance(value, dict):
            self.note(place, f"must have the keys {', '.join(readers)}")
            return {}
        found: dict[str, Any] = {}
        for key, inner in value.items():
            reader = readers.get(key)
            if reader is None:
                self.note(f"{place}.{key}", f"is not known{_nearest(key, readers)}; known are {', '.join(readers)}")
                continue
            try:
                found[key] = reader(inner)
            except Wrong as wrong:
                self.note(f"{place}.{key}", str(wrong))
        return found

    def require(self, value: object, found: Mapping[str, Any], place: str, keys: tuple[str, ...]) -> bool:
        """Whether these keys could all be read; notes those that are missing."""
        given = value if isinstance(value, dict) else {}
        for key in keys:
            if isinstance(value, dict) and key not in given:
                self.note(f"{place}.{key}", "is missing")
        return all(key in found for key in keys)


def _nearest(key: object, readers: Mapping[str, Reader]) -> str:
    close = difflib.get_close_matches(str(key), readers, n=1)
    return f": did you mean {close[0]}?" if close else ""
