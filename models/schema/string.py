"""Strings: their length, what they match, and how their characters are spelled in JSON."""

from functools import cache
from typing import Final

from models.schema import charset
from models.schema.automaton import State, automaton, matches
from models.schema.charset import CharSet
from models.schema.expression import Expressions, TooComplex
from models.schema.fault import Fault, below
from models.schema.format import FORMATS
from models.schema.pattern import PatternUnsupported, expression
from models.schema.pruning import Alternative
from models.schema.rulebook import RuleBook
from models.schema.shape import Text

# What is longer is longer than any answer; a string that may be longer than this is not, here.
MAX_LENGTH: Final = 1 << 15

_ESCAPED: Final = {'"': '"', "\\": "\\\\", "\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f"}
_RAW: Final = charset.intersection(charset.TEXT, charset.complement(charset.chars("".join(_ESCAPED))))


class Strings:
    """The strings of a grammar. What is spent on their patterns is counted for all of them together.

    Args:
        book: for their rules.

    """

    def __init__(self, book: RuleBook) -> None:
        self._book = book
        self._make = Expressions()
        self._known: dict[Text, tuple[State, ...]] = {}

    def alternative(self, shape: Text) -> Alternative:
        """What a string looks like, quotes included.

        Raises:
            Fault: its pattern is not supported or too complicated, or it is too long.

        """
        if shape.least > MAX_LENGTH:
            raise Fault(below(shape.at, "minLength"), f"strings have at most {MAX_LENGTH} characters here")
        if not shape.patterns and not shape.formats:
            return self._free(shape)
        return ['"\\""', spelled(self._book, self._states(shape))]

    def matches(self, shape: Text, text: str) -> bool:
        """Whether a text is such a string."""
        if len(text) < shape.least or (shape.most is not None and len(text) > shape.most):
            return False
        return not (shape.patterns or shape.formats) or matches(self._states(shape), text)

    def others(self, names: tuple[str, ...]) -> str:
        """The name of a rule for the rest of a string, behind its first quote, that is none of these."""
        make = self._make
        try:
            whole = make.none_of(make.any_of(*map(make.text, names)))
            return spelled(self._book, tuple(automaton(whole, make)))
        except TooComplex:
            raise Fault("", "other properties are not supported beside as many named ones") from None

    def _free(self, shape: Text) -> Alternative:
        if not shape.least and shape.most is None:
            return ["string"]
        most = None if shape.most is None else min(shape.most, MAX_LENGTH)
        if most is not None and most < shape.least:
            return [self._book.add()]
        return ['"\\""', *self._book.counted("char", shape.least, most), '"\\""']

    def _states(self, shape: Text) -> tuple[State, ...]:
        if shape not in self._known:
            self._known[shape] = self._compile(shape)
        return self._known[shape]

    def _compile(self, shape: Text) -> tuple[State, ...]:
        if shape == Text(formats=shape.formats[:1]):
            return _format(shape.formats[0])
        make = self._make
        length = make.repeat(make.chars(((0, charset.LAST),)), shape.least, shape.most)
        sources = [*shape.patterns, *(FORMATS[one] for one in shape.formats)]
        try:
            return tuple(automaton(make.all_of(length, *(expression(one, make) for one in sources)), make))
        except PatternUnsupported as fault:
            raise Fault(below(shape.at, "pattern"), f"the regular expression {fault}") from fault
        except TooComplex:
            raise Fault(below(shape.at, "pattern"), "the patterns are too complicated; use simpler ones") from None


@cache
def _format(name: str) -> tuple[State, ...]:
    make = Expressions()
    return tuple(automaton(expression(FORMATS[name], make), make))


def spelled(book: RuleBook, states: tuple[State, ...]) -> str:
    """The name of a rule for what an automaton accepts, as the rest of a JSON string, its last quote included."""
    names = [book.fresh() for _ in states]
    for name, state in zip(names, states, strict=True):
        moves = [part for letter, target in state.moves for part in _spellings(letter, names[target])]
        book.define(name, *moves, *([['"\\""']] if state.is_final else []))
    return names[0] if names else book.add()


def _spellings(letter: CharSet, target: str) -> list[Alternative]:
    found: list[Alternative] = []
    raw = charset.intersection(letter, _RAW)
    if raw:
        found.append(["[" + "".join(map(_range, raw)) + "]", target])
    escapes = "".join(spelling for char, spelling in _ESCAPED.items() if charset.contains(letter, ord(char)))
    if escapes:
        found.append(['"\\\\"', f"[{escapes}]", target])
    return found


def _range(ends: tuple[int, int]) -> str:
    low, high = ends
    return _code(low) if low == high else f"{_code(low)}-{_code(high)}"


def _code(point: int) -> str:
    char = chr(point)
    if char.isascii() and char.isalnum():
        return char
    if point < 0x80:
        return f"\\x{point:02X}"
    return f"\\u{point:04X}" if point < 0x10000 else f"\\U{point:08X}"
