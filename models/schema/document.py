"""A schema as its sender wrote it, and what it must not contain in any case."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import unquote

from models.schema.fault import Fault, below

# OpenAI's limits, but for the depth, of which it allows 10.
MAX_DEPTH: Final = 32
MAX_PROPERTIES: Final = 5_000
MAX_VALUES: Final = 1_000
MAX_CHARACTERS: Final = 120_000
# Numbers that mean something in JSON have fewer.
_MAX_BITS: Final = 128

_INDEX: Final = re.compile(r"[0-9]{1,9}")
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")


class Document:
    """A schema and all that its references may refer to.

    Args:
        root: as decoded from JSON.

    """

    def __init__(self, root: object) -> None:
        self._root = root
        self._properties = self._values = self._characters = 0

    def at(self, pointer: str, source: str) -> object:
        """What stands at a JSON pointer.

        Raises:
            Fault: nothing does.

        """
        node = self._root
        for token in pointer.split("/")[1:]:
            key = token.replace("~1", "/").replace("~0", "~")
            if isinstance(node, Mapping) and key in node:
                node = node[key]
            elif (
                isinstance(node, Sequence)
                and not isinstance(node, str)
                and _INDEX.fullmatch(key)
                and int(key) < len(node)
            ):
                node = node[int(key)]
            else:
                raise Fault(source, "the $ref leads nowhere")
        return node

    def take_name(self, name: object, pointer: str) -> str:
        """Count a property's name, and make sure that it is text."""
        self._properties += 1
        if self._properties > MAX_PROPERTIES:
            raise Fault(pointer, f"the schema has more than {MAX_PROPERTIES} properties")
        if not isinstance(name, str):
            raise Fault(pointer, "the name of a property must be a string")
        self._take_text(name, pointer)
        return name

    def take_values(self, values: Sequence[object], pointer: str) -> tuple[str, ...]:
        """Constants as compact JSON, each once."""
        self._values += len(values)
        if self._values > MAX_VALUES:
            raise Fault(pointer, f"the schema has more than {MAX_VALUES} constants")
        for value in values:
            self._check(value, pointer, 0)
        return tuple(dict.fromkeys(map(compact, values)))

    def _check(self, value: object, pointer: str, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise Fault(pointer, f"a constant nests more than {MAX_DEPTH} levels")
        if isinstance(value, str):
            self._take_text(value, pointer)
        elif isinstance(value, Mapping):
            for name, member in value.items():
                self._check(name, pointer, depth)
                self._check(member, pointer, depth + 1)
        elif isinstance(value, Sequence):
            self._take_text(" " * len(value), pointer)
            for member in value:
                self._check(member, pointer, depth + 1)
        elif isinstance(value, int | float):
            check_number(value, pointer)
        elif value is not None:
            raise Fault(pointer, "a constant is no JSON value")

    def _take_text(self, text: str, pointer: str) -> None:
        self._characters += len(text)
        if self._characters > MAX_CHARACTERS:
            raise Fault(pointer, f"names and constants have more than {MAX_CHARACTERS} characters in all")
        if not text.isascii() and _SURROGATE.search(text):
            raise Fault(pointer, "a text contains half of a surrogate pair")


def compact(value: object) -> str:
    """A value as JSON without blanks."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def check_number(value: float, pointer: str) -> None:
    """Make sure that a number is one that JSON can write."""
    too_large = value.bit_length() > _MAX_BITS if isinstance(value, int) else not math.isfinite(value)
    if too_large:
        raise Fault(pointer, "a number is too large")


def local_pointer(reference: object, pointer: str) -> str:
    """The pointer that a $ref is.

    Raises:
        Fault: it leads out of the document, or to a name.

    """
    if not isinstance(reference, str):
        raise Fault(below(pointer, "$ref"), "must be a string")
    path = unquote(reference.removeprefix("#"))
    if not reference.startswith("#") or (path and not path.startswith("/")):
        raise Fault(below(pointer, "$ref"), "only references of the form #/$defs/name are followed; put it in $defs")
    return path
