"""Arrays: their elements, and how many there are."""

from collections.abc import Callable
from typing import Final

from models.schema.fault import Fault, below
from models.schema.pruning import Alternative
from models.schema.rulebook import RuleBook
from models.schema.shape import Items, Shape

# Each is a rule of its own; an array that may be longer is not, here.
MAX_COUNTED: Final = 512

_END: Final = ["ws", '"]"']


def alternative(book: RuleBook, shape: Items, rule: Callable[[Shape], str]) -> Alternative | None:
    """What an array looks like; None if it must have more elements than it may.

    Raises:
        Fault: it must have too many.

    """
    most = _most(shape)
    if shape.least > MAX_COUNTED:
        raise Fault(below(shape.at, "minItems"), f"must be at most {MAX_COUNTED} here")
    if most is not None and most < shape.least:
        return None
    inner: list[Alternative] = [] if most == 0 else [_filled(book, shape, most, rule)]
    if not shape.least:
        inner.append(['"]"'])
    return ['"["', "ws", *(inner[0] if len(inner) == 1 else [book.add(*inner)])]


def _most(shape: Items) -> int | None:
    if not shape.is_listed:
        longest = max(len(shape.first), shape.least)
        return longest if shape.most is None else min(longest, shape.most)
    return None if shape.most is None else min(shape.most, MAX_COUNTED + len(shape.first))


def _filled(book: RuleBook, shape: Items, most: int | None, rule: Callable[[Shape], str]) -> Alternative:
    """From the first element on."""
    first = [rule(one) for one in shape.first[:most]]
    if not first:
        return [rule(shape.rest), *_rest(book, shape, 1, most, rule)]
    tail = _rest(book, shape, len(first), most, rule)
    for index in range(len(first) - 1, 0, -1):
        options: list[Alternative] = [['","', "ws", first[index], *tail]]
        if index >= shape.least:
            options.append(_END)
        tail = options[0] if len(options) == 1 else [book.add(*options)]
    return [first[0], *tail]


def _rest(book: RuleBook, shape: Items, written: int, most: int | None, rule: Callable[[Shape], str]) -> Alternative:
    """What follows so many elements: others of which there is no more to say."""
    least = max(shape.least - written, 0)
    if most == written:
        return _END
    another = book.add(['","', "ws", rule(shape.rest)])
    if most is not None:
        return [f"{another}{{{least},{most - written}}}", *_END]
    return [*([f"{another}{{{least}}}"] if least else []), f"{another}*", *_END]
