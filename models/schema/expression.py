"""Regular expressions as values that can be derived: what may follow a character, again as an expression.

Janusz Brzozowski's derivatives (1964): they need neither an automaton to start from nor backtracking, know intersection
and complement, and repetitions with counts stay as short as they are written. Equal expressions are one object, so that
what was derived once is known for ever.
"""

from dataclasses import dataclass, field
from typing import Final

from models.schema.charset import LAST, CharSet, contains

# Looks at one part of an expression, for all patterns of a schema: some 50 ms of them. A usual pattern takes a hundred
# to a thousand; what takes more is on its way to exponential growth.
MAX_WORK: Final = 15_000


class TooComplex(Exception):
    """The expression grows beyond all use while it is derived."""


@dataclass(frozen=True, eq=False, slots=True)
class Chars:
    """One character out of a set."""

    members: CharSet
    is_nullable: bool = field(default=False, init=False)


@dataclass(frozen=True, eq=False, slots=True)
class Empty:
    """The empty text."""

    is_nullable: bool = field(default=True, init=False)


@dataclass(frozen=True, eq=False, slots=True)
class Cat:
    """One after the other."""

    first: "Expression"
    rest: "Expression"
    is_nullable: bool


@dataclass(frozen=True, eq=False, slots=True)
class Repeat:
    """`least` to `most` times; without end where most is None."""

    body: "Expression"
    least: int
    most: int | None
    is_nullable: bool


@dataclass(frozen=True, eq=False, slots=True)
class AnyOf:
    """At least one of these; of none of them, nothing is an example."""

    options: frozenset["Expression"]
    is_nullable: bool


@dataclass(frozen=True, eq=False, slots=True)
class AllOf:
    """All of these at once."""

    options: frozenset["Expression"]
    is_nullable: bool


@dataclass(frozen=True, eq=False, slots=True)
class Not:
    """All texts but these."""

    body: "Expression"
    is_nullable: bool


Expression = Chars | Empty | Cat | Repeat | AnyOf | AllOf | Not


class Expressions:
    """Where expressions are made; only those of one maker may be put together."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Expression] = {}
        self._derived: dict[tuple[Expression, int], Expression] = {}
        self._work = 0
        self.empty: Final = Empty()
        self.nothing: Final = self._one(AnyOf(frozenset(), is_nullable=False), AnyOf)
        self.anything: Final = self.repeat(self.chars(((0, LAST),)), 0, None)

    def chars(self, members: CharSet) -> Expression:
        """One character out of a set."""
        return self._one(Chars(members), members) if members else self.nothing

    def text(self, text: str) -> Expression:
        """Exactly this text."""
        return self.cat(*(self.chars(((ord(char), ord(char)),)) for char in text))

    def cat(self, *parts: Expression) -> Expression:
        """One after the other."""
        whole: Expression = self.empty
        for part in reversed(parts):
            whole = self._pair(part, whole)
        return whole

    def _pair(self, first: Expression, rest: Expression) -> Expression:
        if first is self.nothing or rest is self.nothing:
            return self.nothing
        if first is self.empty:
            return rest
        if rest is self.empty:
            return first
        if isinstance(first, Cat):
            return self.cat(*_links(first), rest)
        return self._one(Cat(first, rest, first.is_nullable and rest.is_nullable), Cat, first, rest)

    def repeat(self, body: Expression, least: int, most: int | None) -> Expression:
        """`least` to `most` times; without end where most is None."""
        if most is not None and most < least:
            return self.nothing
        if most == 0 or body is self.empty:
            return self.empty
        if body is self.nothing:
            return self.nothing if least else self.empty
        if (least, most) == (1, 1):
            return body
        least = 0 if body.is_nullable else least
        return self._one(Repeat(body, least, most, is_nullable=not least), Repeat, body, least, most)

    def any_of(self, *options: Expression) -> Expression:
        """At least one of these."""
        flat = {one for each in options for one in (each.options if isinstance(each, AnyOf) else (each,))}
        self._spend(len(flat))
        if self.anything in flat:
            return self.anything
        if len(flat) == 1:
            return flat.pop()
        whole = frozenset(flat)
        return self._one(AnyOf(whole, any(one.is_nullable for one in flat)), AnyOf, whole) if whole else self.nothing

    def all_of(self, *options: Expression) -> Expression:
        """All of these at once."""
        flat = {one for each in options for one in (each.options if isinstance(each, AllOf) else (each,))}
        self._spend(len(flat))
        if self.nothing in flat:
            return self.nothing
        flat.discard(self.anything)
        if len(flat) < 2:
            return flat.pop() if flat else self.anything
        whole = frozenset(flat)
        return self._one(AllOf(whole, all(one.is_nullable for one in flat)), AllOf, whole)

    def none_of(self, body: Expression) -> Expression:
        """All texts but these."""
        if body is self.nothing:
            return self.anything
        if body is self.anything:
            return self.nothing
        return body.body if isinstance(body, Not) else self._one(Not(body, not body.is_nullable), Not, body)

    def after(self, whole: Expression, code: int) -> Expression:
        """What may follow a character, given as its code point.

        Raises:
            TooComplex: the expressions made so far are too many.

        """
        known = self._derived.get((whole, code))
        if known is None:
            self._spend(1)
            known = self._derived[whole, code] = self._derive(whole, code)
        return known

    def _derive(self, whole: Expression, code: int) -> Expression:
        match whole:
            case Chars():
                return self.empty if contains(whole.members, code) else self.nothing
            case Cat(first=Chars(members=members), rest=rest):
                return rest if contains(members, code) else self.nothing
            case Cat():
                return self._after_chain(whole, code)
            case Repeat():
                most = None if whole.most is None else whole.most - 1
                rest = self.repeat(whole.body, max(0, whole.least - 1), most)
                return self._pair(self.after(whole.body, code), rest)
            case AnyOf():
                return self.any_of(*(self.after(one, code) for one in whole.options))
            case AllOf():
                return self.all_of(*(self.after(one, code) for one in whole.options))
            case Not():
                return self.none_of(self.after(whole.body, code))
            case Empty():
                return self.nothing

    def _after_chain(self, whole: Cat, code: int) -> Expression:
        options = [self._pair(self.after(whole.first, code), whole.rest)]
        rest: Expression = whole
        while isinstance(rest, Cat) and rest.first.is_nullable:
            rest = rest.rest
            if isinstance(rest, Cat):
                options.append(self._pair(self.after(rest.first, code), rest.rest))
            else:
                options.append(self.after(rest, code))
        return self.any_of(*options)

    def _spend(self, looks: int) -> None:
        self._work += looks
        if self._work > MAX_WORK:
            raise TooComplex

    def _one(self, made: Expression, *key: object) -> Expression:
        return self._known.setdefault(key, made)


def _links(chain: Cat) -> list[Expression]:
    links = [chain.first]
    rest = chain.rest
    while isinstance(rest, Cat):
        links.append(rest.first)
        rest = rest.rest
    return [*links, rest]
