"""Objects: which property may come next.

Several objects at once are read as one (`anyOf` of objects that begin alike): a *place* is where a text may stand in
each of those that it still may be, and they part where their properties do.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from models.schema.fault import Fault, below
from models.schema.pruning import Alternative
from models.schema.rulebook import RuleBook, literal
from models.schema.shape import Member, Members, Shape
from models.schema.string import Strings

# Each of them may be the next, and is followed as long as its name begins like what is written.
MAX_OPTIONAL: Final = 128
MAX_OTHERS: Final = 256
MAX_EDGES: Final = 20_000

# json.dumps would make a new encoder for each name.
_spelled: Final = json.JSONEncoder(ensure_ascii=False).encode

# For each object that it may be, by number: how many of its properties are written or passed over.
Place = frozenset[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What of an object is written.

    Args:
        named: its properties, in order.
        last: behind the last property that is required.
        others: of properties that are not named; None if there are none.
        room: for how many of them there is room; None without limit.
        is_filled: whether there must be a property at all.

    """

    named: tuple[Member, ...]
    last: int
    others: Shape | None
    room: int | None
    is_filled: bool

    def has_next(self, at: int) -> bool:
        """Whether there may be another property."""
        return at < len(self.named) or self.has_others(at)

    def has_others(self, at: int) -> bool:
        """Whether it may be one that is not named."""
        return self.others is not None and (self.room is None or at - len(self.named) < self.room)


def plan(shape: Members) -> Plan | None:
    """What is written of an object; None if it cannot be.

    Raises:
        Fault: more is demanded or left open than can be followed.

    """
    named = list(shape.named)
    required = sum(member.is_required for member in named)
    if shape.most is not None and max(required, shape.least) > shape.most:
        return None
    named = _enough(named, shape.least - required if shape.least > 1 or not shape.is_open else 0)
    demanded = sum(member.is_required for member in named)
    if shape.least > max(demanded, 1) or (shape.least == 1 and not named and not shape.is_open):
        raise Fault(
            below(shape.at, "minProperties"), "so many properties cannot be promised; name them and require them"
        )
    room = None if shape.most is None else shape.most - demanded
    named = list(_as_many(named, room))
    _check_optional(named, shape.at)
    last = max((index + 1 for index, member in enumerate(named) if member.is_required), default=0)
    if room is not None:
        room = 0 if named else min(room, MAX_OTHERS)
    return Plan(tuple(named), last, shape.others if shape.is_open else None, room, shape.least > 0)


def _enough(named: list[Member], missing: int) -> list[Member]:
    """The first optional properties are required where there must be more of them, but for a single one."""
    found = []
    for member in named:
        is_needed = missing > 0 and not member.is_required
        missing -= is_needed
        found.append(member._replace(is_required=True) if is_needed else member)
    return found


def _as_many(named: list[Member], room: int | None) -> Iterator[Member]:
    """The last optional properties are not written where there may be only so many."""
    for member in named:
        if member.is_required or room is None or room > 0:
            yield member
            room = room - 1 if room is not None and not member.is_required else room


def _check_optional(named: Sequence[Member], at: str) -> None:
    run = 0
    for member in named:
        run = 0 if member.is_required else run + 1
        if run > MAX_OPTIONAL:
            raise Fault(at, f"more than {MAX_OPTIONAL} optional properties follow each other; require some of them")


class Objects:
    """Writes the objects of one alternative of a schema.

    Args:
        book: for their rules.
        strings: for names that are not named.
        rule: gives the rule of a property's value.
        is_alike: whether two shapes may begin alike and part nowhere soon.

    """

    def __init__(
        self, book: RuleBook, strings: Strings, rule: Callable[[Shape], str], is_alike: Callable[[Shape, Shape], bool]
    ) -> None:
        self.book = book
        self.strings = strings
        self.rule = rule
        self.is_alike = is_alike
        self._edges = 0

    def alternative(self, shapes: Sequence[Members]) -> Alternative | None:
        """What an object looks like that has one of these shapes; None if there is none."""
        plans = [found for found in map(plan, shapes) if found is not None]
        return _Writing(self, plans).whole() if plans else None

    def spend(self, edges: int) -> None:
        """Count what there is to follow."""
        self._edges += edges
        if self._edges > MAX_EDGES:
            raise Fault("", "too many objects are to be told apart; give them a property with a constant each")


class _Writing:
    """One object, or several that are read as one."""

    def __init__(self, whole: Objects, plans: Sequence[Plan]) -> None:
        self._whole = whole
        self._book = whole.book
        self._plans = plans
        self._names: dict[Place, str] = {}
        self._queue: list[Place] = []

    def whole(self) -> Alternative:
        start = frozenset((number, 0) for number in range(len(self._plans)))
        first: list[Alternative] = []
        if self._has_next(start):
            first.append(['"\\""', self._key(start)])
        if any(not one.last and not one.is_filled for one in self._plans):
            first.append(['"}"'])
        for place in self._queue:  # grows as it goes
            keys = self._keys(place)
            self._book.define(self._names[place], *keys)
        return ['"{"', "ws", *self._inline(first)]

    def _key(self, place: Place) -> str:
        """The rule for the next property from behind the quote of its name."""
        if place not in self._names:
            self._names[place] = self._book.fresh()
            self._queue.append(place)
        return self._names[place]

    def _has_next(self, place: Place) -> bool:
        return any(self._plans[number].has_next(at) for number, at in place)

    def _inline(self, options: list[Alternative]) -> Alternative:
        return options[0] if len(options) == 1 else [self._book.add(*options)]

    def _after(self, place: Place) -> Alternative:
        """What may follow a property."""
        options: list[Alternative] = []
        if self._has_next(place):
            options.append(['","', "ws", '"\\""', self._key(place)])
        if any(at >= self._plans[number].last for number, at in place):
            options.append(["ws", '"}"'])
        return self._inline(options)

    def _keys(self, place: Place) -> list[Alternative]:
        if len(place) == 1:
            ((number, at),) = place
            return list(self._one(number, at))
        found = self._several(place)
        if len(found) > 1:
            self._book.forks.add(self._names[place])
        return found

    def _one(self, number: int, at: int) -> Iterator[Alternative]:
        """A property, or else what may come instead of it."""
        one = self._plans[number]
        if at >= len(one.named):
            yield from self._others(number, at)
            return
        member = one.named[at]
        parts = [literal(_name_text(member.name)), "sp", self._whole.rule(member.shape)]
        last = at + 1
        # Those that must follow stand in the same rule.
        while last < one.last and one.named[last].is_required:
            following = one.named[last]
            parts += ['","', "ws", literal(f'"{_name_text(following.name)}'), "sp", self._whole.rule(following.shape)]
            last += 1
        yield [*parts, *self._after(frozenset({(number, last)}))]
        if not member.is_required and one.has_next(at + 1):
            yield [self._key(frozenset({(number, at + 1)}))]

    def _others(self, number: int, at: int) -> Iterator[Alternative]:
        one = self._plans[number]
        if one.others is not None and one.has_others(at):
            following = frozenset({(number, at if one.room is None else at + 1)})
            names = tuple(member.name for member in one.named)
            key = [self._whole.strings.others(names)] if names else ["char*", '"\\""']
            yield [*key, '":"', "sp", self._whole.rule(one.others), *self._after(following)]

    def _several(self, place: Place) -> list[Alternative]:
        """Every property that any of the objects may have next, with the places that it leads to by its shape."""
        edges: dict[str, dict[Shape, set[tuple[int, int]]]] = {}
        others: list[Alternative] = []
        for number, at in sorted(place):
            one = self._plans[number]
            for index in range(at, len(one.named)):
                member = one.named[index]
                edges.setdefault(member.name, {}).setdefault(member.shape, set()).add((number, index + 1))
                self._whole.spend(1)
                if member.is_required:
                    break
            else:
                others.extend(self._others(number, max(at, len(one.named))))
        named = {_name_text(name): self._values(shapes) for name, shapes in edges.items()}
        return [*([[self._book.choice(named)]] if named else []), *others]

    def _values(self, shapes: dict[Shape, set[tuple[int, int]]]) -> Alternative:
        options = [[self._whole.rule(shape), *self._after(frozenset(place))] for shape, place in shapes.items()]
        if len(options) == 1:
            return ["sp", *options[0]]
        kinds = list(shapes)
        pairs = ((a, b) for index, a in enumerate(kinds) for b in kinds[:index])
        self._whole.spend(len(kinds) ** 2)
        is_fork = any(self._whole.is_alike(a, b) for a, b in pairs)
        return ["sp", self._book.fork(*options) if is_fork else self._book.add(*options)]


def _name_text(name: str) -> str:
    """A name as JSON behind its first quote, with the colon."""
    return _spelled(name)[1:] + ":"
