"""What a schema allows, with its keywords weighed up: the few shapes that JSON values have.

A shape never allows what its schema forbids. It may allow less: a schema that names properties and says nothing about
others allows others, and the shape of it knows that (`Members.others`), but nothing is written that was not asked for.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Anything:
    """Every JSON value."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One of these values.

    Args:
        texts: the values as compact JSON, all different.

    """

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """A string.

    Args:
        least: characters.
        most: likewise; None without limit.
        patterns: regular expressions that all find a match in it.
        formats: names of formats that it has.
        at: where its schema stands.

    """

    least: int = 0
    most: int | None = None
    patterns: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    at: str = field(default="", compare=False)


class Bound(NamedTuple):
    """An end of a range of numbers."""

    value: Decimal
    is_open: bool


@dataclass(frozen=True, slots=True)
class Number:
    """A number.

    Args:
        low: where the range begins, None without limit.
        high: where it ends.
        is_whole: whether it has no fraction.
        steps: what it is a multiple of, each of them.
        at: where its schema stands.

    """

    low: Bound | None = None
    high: Bound | None = None
    is_whole: bool = False
    steps: tuple[Decimal, ...] = ()
    at: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Items:
    """An array.

    Args:
        first: of its first elements, one by one.
        rest: of all others.
        least: elements.
        most: likewise; None without limit.
        is_listed: whether the schema says what the others are; else they are written only where `least` demands them.
        at: where its schema stands.

    """

    first: tuple["Shape", ...] = ()
    rest: "Shape" = Anything()
    least: int = 0
    most: int | None = None
    is_listed: bool = True
    at: str = field(default="", compare=False)


class Member(NamedTuple):
    """A property of an object."""

    name: str
    shape: "Shape"
    is_required: bool


@dataclass(frozen=True, slots=True)
class Members:
    """An object.

    Args:
        named: its properties, in the order in which they are written.
        others: of properties that are not named.
        is_open: whether others are written where they are allowed.
        least: properties.
        most: likewise; None without limit.
        at: where its schema stands.

    """

    named: tuple[Member, ...] = ()
    others: "Shape" = Anything()
    is_open: bool = False
    least: int = 0
    most: int | None = None
    at: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Either:
    """Any of these shapes; of none of them, nothing has the shape.

    Args:
        options: the shapes.
        is_exclusive: whether a value may have one of them only.
        at: where its schema stands.

    """

    options: tuple["Shape", ...]
    is_exclusive: bool = False
    at: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Both:
    """All of these shapes at once; not worked out before somebody writes it, since they may refer to themselves."""

    parts: tuple["Shape", ...]


@dataclass(frozen=True, slots=True)
class Ref:
    """What the same document says elsewhere.

    Args:
        document: its number.
        pointer: in it.

    """

    document: int
    pointer: str


Leaf = Anything | Choice | Text | Number | Items | Members
Shape = Leaf | Either | Both | Ref

ANYTHING = Anything()
NOTHING = Either(())
BOOLEAN = Choice(("true", "false"))
NULL = Choice(("null",))


def either(*options: Shape) -> Shape:
    """Any of these shapes, none of them named twice."""
    if len(options) == 1:
        return options[0]
    distinct = tuple(dict.fromkeys(options))
    return distinct[0] if len(distinct) == 1 else Either(distinct)


def both(*parts: Shape) -> Shape:
    """All of these shapes at once, none of them named twice."""
    if len(parts) == 1:
        return parts[0]
    flat = (one for each in parts for one in (each.parts if isinstance(each, Both) else (each,)))
    distinct = tuple(one for one in dict.fromkeys(flat) if one != ANYTHING)
    if len(distinct) > 1:
        return Both(distinct)
    return distinct[0] if distinct else ANYTHING
