"""What shapes have in common, and whether a value has a shape."""

import json
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import combinations, product
from typing import Final

from models.schema import number
from models.schema.fault import Fault
from models.schema.shape import (
    ANYTHING,
    Anything,
    Both,
    Choice,
    Either,
    Items,
    Leaf,
    Member,
    Members,
    Number,
    Ref,
    Shape,
    Text,
    both,
)

# Alternatives of all shapes of a schema together, and comparisons of two of them, which take ten times as long: allOf
# multiplies what anyOf adds, and the schemas of a oneOf are compared each with each.
MAX_LEAVES: Final = 20_000
_COMPARISON: Final = 10
# References that lead to references, and combinations in combinations.
MAX_CHAIN: Final = 40

# json.loads would make a new decoder for each text.
_decode: Final = json.JSONDecoder(parse_int=Decimal, parse_float=Decimal).decode

Value = None | bool | Decimal | str | list["Value"] | dict[str, "Value"]
# Whether a text has what a Text says of it.
Matches = Callable[[Text, str], bool]


def value_of(text: str) -> Value:
    """A JSON value, its numbers exact."""
    value: Value = _decode(text)
    return value


class Algebra:
    """Works out what references and combinations come to.

    Args:
        resolve: gives what a reference refers to.
        matches: compares a text with a shape.

    """

    def __init__(self, resolve: Callable[[Ref], Shape], matches: Matches) -> None:
        self._resolve = resolve
        self._matches = matches
        self._known: dict[Shape, tuple[Leaf, ...]] = {}
        self._open: set[Shape] = set()
        self._count = 0

    def leaves(self, shape: Shape) -> tuple[Leaf, ...]:
        """The alternatives that a shape comes to; none where nothing has it.

        What refers to itself and nothing else adds nothing to itself.

        Raises:
            Fault: they are too many.

        """
        if not isinstance(shape, Either | Both | Ref):
            return (shape,)
        if shape in self._open:
            return ()
        known = self._known.get(shape)
        if known is None:
            if len(self._open) >= MAX_CHAIN:
                raise Fault("", f"more than {MAX_CHAIN} references or combinations lead from one to the next")
            self._open.add(shape)
            known = tuple(dict.fromkeys(self._work_out(shape)))
            self._open.remove(shape)
            if not self._open:  # else it may lack what stands further up
                self._known[shape] = known
            self._spend(1 + len(known))
        return known

    def _spend(self, leaves: int) -> None:
        self._count += leaves
        if self._count > MAX_LEAVES:
            raise Fault("", "it combines too many alternatives; name fewer in anyOf and allOf")

    def _work_out(self, shape: Either | Both | Ref) -> Iterator[Leaf]:
        if isinstance(shape, Ref):
            yield from self.leaves(self._resolve(shape))
        elif isinstance(shape, Either):
            if shape.is_exclusive:
                self._check_exclusive(shape)
            yield from (leaf for option in shape.options for leaf in self.leaves(option))
        else:
            whole: Sequence[Leaf] = (ANYTHING,)
            for part in shape.parts:
                pairs = list(product(whole, self.leaves(part)))
                self._spend(_COMPARISON * len(pairs))
                whole = [leaf for pair in pairs if (leaf := self.meet(*pair)) is not None]
            yield from whole

    def _check_exclusive(self, shape: Either) -> None:
        for a, b in combinations(shape.options, 2):
            self._spend(_COMPARISON)
            if not self.are_apart(a, b):
                raise Fault(
                    shape.at, "the schemas of oneOf must exclude each other by type or by a constant; use anyOf"
                )

    def meet(self, a: Leaf, b: Leaf) -> Leaf | None:
        """What both allow; None where that is seen to be nothing."""
        match a, b:
            case (Anything(), other) | (other, Anything()):
                return other
            case (Choice(texts=texts), other) | (other, Choice(texts=texts)):
                kept = tuple(text for text in texts if self.has(value_of(text), other))
                return Choice(kept) if kept else None
            case Text(), Text():
                return _texts(a, b)
            case Number(), Number():
                return _numbers(a, b)
            case Items(), Items():
                return _items(a, b)
            case Members(), Members():
                return _members(a, b)
        return None

    def has(self, value: Value, shape: Shape) -> bool:
        """Whether a value has a shape."""
        return any(self._is(value, leaf) for leaf in self.leaves(shape))

    def _is(self, value: Value, leaf: Leaf) -> bool:
        match leaf, value:
            case Anything(), _:
                return True
            case Choice(), _:
                return any(_same(value, value_of(text)) for text in leaf.texts)
            case Text(), str():
                return self._matches(leaf, value)
            case Number(), Decimal():
                return number.contains(leaf, value)
            case Items(), list():
                shapes = [*leaf.first, *[leaf.rest] * (len(value) - len(leaf.first))]
                return _fits(len(value), leaf) and all(map(self.has, value, shapes))
            case Members(), dict():
                return _fits(len(value), leaf) and self._has_members(value, leaf)
        return False

    def _has_members(self, value: dict[str, Value], leaf: Members) -> bool:
        named = {member.name: member.shape for member in leaf.named}
        if any(member.is_required and member.name not in value for member in leaf.named):
            return False
        return all(self.has(one, named.get(name, leaf.others)) for name, one in value.items())

    def are_apart(self, a: Shape, b: Shape) -> bool:
        """Whether it is certain that no value has both shapes."""
        return all(self._apart(*pair) for pair in product(self.leaves(a), self.leaves(b)))

    def _apart(self, a: Leaf, b: Leaf) -> bool:
        if isinstance(a, Members) and isinstance(b, Members):
            return self._told_apart(a, b) or self._told_apart(b, a)
        if type(a) is type(b) and not isinstance(a, Choice):
            return False
        return self.meet(a, b) is None

    def _told_apart(self, a: Members, b: Members) -> bool:
        """Whether a demands a property that b cannot have, or not with a value that a takes."""
        named = {member.name: member.shape for member in b.named}
        return any(
            self._are_choices_apart(member.shape, named.get(member.name, b.others))
            for member in a.named
            if member.is_required
        )

    def _are_choices_apart(self, a: Shape, b: Shape) -> bool:
        """Likewise of two properties, by their constants alone: of all else, a shape may know less than its schema."""
        pairs = list(product(self.leaves(a), self.leaves(b)))
        return all(isinstance(x, Choice) and isinstance(y, Choice) and self.meet(x, y) is None for x, y in pairs)


def _same(a: Value, b: Value) -> bool:
    """Whether two values are one; unlike Python, true is not 1."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(one, b[name]) for name, one in a.items())
    return a == b


def _fits(count: int, leaf: Items | Members) -> bool:
    return leaf.least <= count and (leaf.most is None or count <= leaf.most)


def _fewest(a: int | None, b: int | None) -> int | None:
    return min((one for one in (a, b) if one is not None), default=None)


def _texts(a: Text, b: Text) -> Text:
    patterns = tuple(dict.fromkeys(a.patterns + b.patterns))
    formats = tuple(dict.fromkeys(a.formats + b.formats))
    return Text(max(a.least, b.least), _fewest(a.most, b.most), patterns, formats, a.at)


def _numbers(a: Number, b: Number) -> Number:
    lows = [bound for bound in (a.low, b.low) if bound is not None]
    highs = [bound for bound in (a.high, b.high) if bound is not None]
    low = max(lows, default=None)
    high = min(highs, key=lambda bound: (bound.value, not bound.is_open), default=None)
    return Number(low, high, a.is_whole or b.is_whole, tuple(dict.fromkeys(a.steps + b.steps)), a.at)


def _items(a: Items, b: Items) -> Items:
    length = max(len(a.first), len(b.first))
    first = [
        both(*(one.first[index] if index < len(one.first) else one.rest for one in (a, b))) for index in range(length)
    ]
    rest = both(a.rest, b.rest)
    return Items(tuple(first), rest, max(a.least, b.least), _fewest(a.most, b.most), a.is_listed or b.is_listed, a.at)


def _members(a: Members, b: Members) -> Members:
    ours = {member.name: member for member in a.named}
    theirs = {member.name: member for member in b.named}
    named = [_member(name, ours.get(name), theirs.get(name), a, b) for name in ours | theirs]
    return Members(
        tuple(named),
        both(a.others, b.others),
        a.is_open and b.is_open,
        max(a.least, b.least),
        _fewest(a.most, b.most),
        a.at,
    )


def _member(name: str, ours: Member | None, theirs: Member | None, a: Members, b: Members) -> Member:
    shape = both(ours.shape if ours else a.others, theirs.shape if theirs else b.others)
    return Member(name, shape, bool((ours and ours.is_required) or (theirs and theirs.is_required)))
