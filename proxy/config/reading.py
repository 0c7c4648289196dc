"""One pass over a document: what it is read with, what was found wrong, and where each key stood."""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import yaml

from proxy.config.document import Place
from proxy.config.environment import expand
from proxy.config.fault import Fault
from proxy.config.scalar import Unreadable

T = TypeVar("T")

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_MOST_SHOWN: Final = 60
_SECTION_REMEDY: Final = "write a section of key: value lines"


class Rejected(Exception):
    """A signal to the builder: no value came about, and why is recorded."""


class Reading:
    """Turns nodes into texts, items and entries, and keeps the faults. `lines` has the 1-based line of every key."""

    def __init__(self, file: str, environment: Mapping[str, str]) -> None:
        self.faults: list[Fault] = []
        self.lines: dict[str, int] = {}
        self._file = file
        self._environment = environment

    def record(self, place: Place, problem: str, remedy: str) -> None:
        """Keep a fault and go on."""
        self.faults.append(Fault(self._file, place.line, place.key, problem, remedy))

    def reject(self, place: Place, problem: str, remedy: str) -> Rejected:
        """Keep a fault; raise what this returns."""
        self.record(place, problem, remedy)
        return Rejected()

    def entries(self, place: Place) -> dict[str, Place]:
        """The entries of a section. A second one of the same key is a fault and left out."""
        if not isinstance(place.node, yaml.MappingNode):
            raise self.reject(place, f"is {_named(place.node)}, not a section", _SECTION_REMEDY)
        entries: dict[str, Place] = {}
        first: dict[str, int] = {}
        for key_node, node in place.node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.record(Place(key_node, place.key), "has a key that is not a word", _SECTION_REMEDY)
                continue
            key = key_node.value
            at = place.below(key, key_node)
            if key in entries:
                self.record(at, f"stands there twice, first in line {first[key]}", "keep one of them")
            else:
                entries[key], first[key] = place.below(key, node), at.line
        return entries

    def items(self, place: Place) -> list[Place]:
        """The items of a list."""
        if not isinstance(place.node, yaml.SequenceNode):
            raise self.reject(place, f"is {_named(place.node)}, not a list", "write a list of - items")
        return [place.item(index, node) for index, node in enumerate(place.node.value)]

    def is_single(self, place: Place) -> bool:
        """Whether a single value stands there."""
        return isinstance(place.node, yaml.ScalarNode)

    def value(self, place: Place, parse: Callable[[str], T]) -> T:
        """What the text at `place` means."""
        if not isinstance(place.node, yaml.ScalarNode):
            raise self.reject(place, f"is {_named(place.node)}, not a single value", "write one value")
        written = place.node.value
        return self._guarded(place, written, lambda: parse(expand(written, self._environment)))

    def name(self, key: str, place: Place, parse: Callable[[str], T]) -> T:
        """What the key of an entry means. Keys are taken as they stand, without the environment."""
        return self._guarded(place, key, lambda: parse(key))

    def is_null(self, place: Place) -> bool:
        """Whether nothing is said there: null, or a bare reference to something empty."""
        return self._plain(place) in _NULLS

    def is_off(self, place: Place) -> bool:
        """Whether it is a bare `false`."""
        return self._plain(place) == "false"

    def _plain(self, place: Place) -> str | None:
        # Quotes say that a text is meant: "" is an empty text and "false" is a word.
        if not isinstance(place.node, yaml.ScalarNode) or place.node.style is not None:
            return None
        try:
            return expand(place.node.value, self._environment)
        except Unreadable:
            return None

    def _guarded(self, place: Place, written: str, parse: Callable[[], T]) -> T:
        # What is shown is what the file says, never what the environment put in: that may be a key.
        try:
            return parse()
        except Unreadable as error:
            subject = "the value" if error.hidden else _quoted(written)
            raise self.reject(place, f"{subject} {error.problem}", error.remedy) from None


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…")


def _named(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a section"
    return "a list" if isinstance(node, yaml.SequenceNode) else "a single value"
