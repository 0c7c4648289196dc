"""From shapes to rules."""

import json
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Final, TypeVar

from models.schema import items
from models.schema.algebra import Algebra
from models.schema.document import compact
from models.schema.fault import Fault
from models.schema.members import Objects
from models.schema.number import number
from models.schema.pruning import Alternative
from models.schema.rulebook import RuleBook
from models.schema.shape import ANYTHING, NOTHING, Anything, Choice, Items, Leaf, Member, Members, Number, Shape, Text
from models.schema.string import Strings

LeafType = TypeVar("LeafType", Anything, Choice, Text, Number, Items, Members)

# What constants begin with.
_STRING: Final = '"'
_ARRAY: Final = "["
_OBJECT: Final = "{"
_NUMBER: Final = "-0123456789"
_WORD: Final = "tfn"

# Elements of a grammar, 8 bytes each: OpenAI's limits come to half of it.
MAX_ELEMENTS: Final = 60_000
# Constant arrays and objects that may be written with blanks in them, as all others; more are written without.
MAX_SPACED: Final = 16


class Writer:
    """Writes rules into a book; what is nested waits in a queue, so that depth costs no stack.

    Args:
        book: to write into.
        algebra: that knows what shapes come to.
        strings: that write into the same book.

    """

    def __init__(self, book: RuleBook, algebra: Algebra, strings: Strings) -> None:
        self._book = book
        self._algebra = algebra
        self._objects = Objects(book, strings, self.rule, self._are_alike)
        self._strings = strings
        self._names: dict[Shape, str] = {ANYTHING: "value", Text(): "string", Number(): "number"}
        self._queue: list[Shape] = []

    def rule(self, shape: Shape) -> str:
        """The name of a shape's rule, which is written by and by."""
        name = self._names.get(shape)
        if name is None:
            name = self._names[shape] = self._book.fresh()
            self._queue.append(shape)
        return name

    def finish(self) -> None:
        """Write all rules that are named and not written.

        Raises:
            Fault: one of them cannot be. None of them is known any more, and other schemas can be written.

        """
        try:
            for shape in self._queue:  # grows as it goes
                self._book.define(self._names[shape], *self._alternatives(self._algebra.leaves(shape)))
                if self._book.size > MAX_ELEMENTS:
                    raise Fault("", "the schema is too large")
        except Fault:
            for shape in self._queue:
                del self._names[shape]
            raise
        finally:
            self._queue.clear()

    def _alternatives(self, leaves: Sequence[Leaf]) -> Iterator[Alternative]:
        """One alternative for each kind of value: they begin differently."""
        if ANYTHING in leaves:
            yield ["value"]
            return
        constants = [text for leaf in _of(leaves, Choice) for text in leaf.texts]
        kinds = (
            self._constants(constants, _WORD),
            self._of_strings(leaves, constants),
            self._of_numbers(leaves, constants),
            self._of_arrays(leaves, constants),
            self._of_objects(leaves, constants),
        )
        for options in map(list, kinds):
            if options:
                yield options[0] if len(options) == 1 else [self._book.fork(*options)]

    def _constants(self, constants: Sequence[str], beginnings: str) -> Iterator[Alternative]:
        texts = [text for text in constants if text[0] in beginnings]
        if texts:
            yield [self._book.choice(dict.fromkeys(texts, ()))]

    def _of_strings(self, leaves: Sequence[Leaf], constants: Sequence[str]) -> Iterator[Alternative]:
        shapes = _of(leaves, Text)
        if Text() in shapes:
            yield ["string"]
            return
        yield from self._constants(constants, _STRING)
        yield from map(self._strings.alternative, shapes)

    def _of_numbers(self, leaves: Sequence[Leaf], constants: Sequence[str]) -> Iterator[Alternative]:
        shapes = _of(leaves, Number)
        if Number() in shapes:
            yield ["number"]
            return
        yield from self._constants(constants, _NUMBER)
        for shape in shapes:
            yield from number(self._book, shape)

    def _of_arrays(self, leaves: Sequence[Leaf], constants: Sequence[str]) -> Iterator[Alternative]:
        arrays = [text for text in constants if text[0] in _ARRAY]
        if len(arrays) > MAX_SPACED:
            yield from self._constants(arrays, _ARRAY)
            arrays = []
        for shape in (*_of(leaves, Items), *map(_spaced_array, arrays)):
            found = items.alternative(self._book, shape, self.rule)
            if found is not None:
                yield found

    def _of_objects(self, leaves: Sequence[Leaf], constants: Sequence[str]) -> Iterator[Alternative]:
        constant = [text for text in constants if text[0] in _OBJECT]
        if len(constant) > MAX_SPACED:
            yield from self._constants(constant, _OBJECT)
            constant = []
        shapes = [*_of(leaves, Members), *map(_spaced_object, constant)]
        found = self._objects.alternative(shapes) if shapes else None
        if found is not None:
            yield found

    def _are_alike(self, a: Shape, b: Shape) -> bool:
        """Whether what two shapes allow may begin alike and nest before it parts."""
        return any(self._may_share(*pair) for pair in product(self._algebra.leaves(a), self._algebra.leaves(b)))

    def _may_share(self, a: Leaf, b: Leaf) -> bool:
        if isinstance(a, Choice) or isinstance(b, Choice):
            return self._algebra.meet(a, b) is not None
        return type(a) is type(b) or isinstance(a, Anything) or isinstance(b, Anything)


def _spaced_array(text: str) -> Items:
    first = tuple(map(_constant, json.loads(text)))
    return Items(first, NOTHING, len(first), len(first))


def _spaced_object(text: str) -> Members:
    named = [Member(name, _constant(value), True) for name, value in json.loads(text).items()]
    return Members(tuple(named), NOTHING)


def _constant(value: object) -> Choice:
    return Choice((compact(value),))


def _of(leaves: Sequence[Leaf], kind: type[LeafType]) -> list[LeafType]:
    return [leaf for leaf in leaves if isinstance(leaf, kind)]
