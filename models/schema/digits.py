"""Ranges of numbers as rules over their digits."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from models.schema.pruning import Alternative
from models.schema.rulebook import RuleBook


def naturals(book: RuleBook, low: int, high: int) -> Iterator[Alternative]:
    """Alternatives for the whole numbers from low to high, 0 <= low, without leading zeros.

    Three at most begin alike: the lengths of the two ends, and all lengths between them.
    """
    short, long = len(str(low)), len(str(high))
    if low > high:
        return
    if short == long:
        yield _between(book, str(low), str(high))
        return
    yield _between(book, str(low), "9" * short)
    if long - short > 1:
        yield ["[1-9]", *_any(book, short, long - 2)]
    yield _between(book, "1" + "0" * (long - 1), str(high))


def _between(book: RuleBook, low: str, high: str) -> list[str]:
    """Digits of one length, from low to high."""
    if not set(low) - {"0"} and not set(high) - {"9"}:
        return _any(book, len(low), len(low))
    first, last, rest = int(low[0]), int(high[0]), len(low) - 1
    if first == last:
        return [f'"{first}"', *_between(book, low[1:], high[1:])]
    whole_first, whole_last = not set(low[1:]) - {"0"}, not set(high[1:]) - {"9"}
    middle = range(first + (not whole_first), last + whole_last)
    options: list[Alternative] = []
    if not whole_first:
        options.append([f'"{first}"', *_between(book, low[1:], "9" * rest)])
    if middle:
        options.append([_class(middle), *_any(book, rest, rest)])
    if not whole_last:
        options.append([f'"{last}"', *_between(book, "0" * rest, high[1:])])
    return [book.add(*options)] if len(options) > 1 else list(options[0])


@dataclass(frozen=True, slots=True)
class Fraction:
    """What the digits behind the point may be.

    Args:
        low: digits that it must reach, None without limit.
        high: digits that it must not pass.
        is_above: whether low itself is not allowed.
        is_below: whether high itself is not.

    """

    low: str | None = None
    high: str | None = None
    is_above: bool = False
    is_below: bool = False

    @property
    def may_end(self) -> bool:
        """Whether there need be no further digit."""
        reached = self.low is None or (not self.low and not self.is_above)
        return reached and (self.high is None or bool(self.high) or not self.is_below)

    def after(self, digit: int) -> "Fraction | None":
        """What the digits behind this one may be; None if it may not stand here."""
        low, high = self.low, self.high
        at_least = int(low[0]) if low else 0
        at_most = 9 if high is None else int(high[0]) if high else 0
        if digit < at_least or digit > at_most:
            return None
        if low is not None:
            low = low[1:] if digit == at_least else None
        if high is not None:
            high = high[1:] if digit == at_most else None
        return limits(low, high, is_above=self.is_above, is_below=self.is_below)


def limits(
    low: str | None = None, high: str | None = None, *, is_above: bool = False, is_below: bool = False
) -> Fraction:
    """What the digits behind the point may be; a limit that is reached already is none."""
    low = None if low == "" and not is_above else low
    return Fraction(low, high, is_above and low is not None, is_below and high is not None)


def fraction(book: RuleBook, digits: Fraction, room: int) -> list[Alternative]:
    """Alternatives for a point and at most `room` digits behind it, and for none where that may be."""
    found: list[Alternative] = []
    options = _fraction_digits(book, digits, room, is_first=True)
    if options:
        found.append(['"."', book.add(*options)])
    return [*found, []] if digits.may_end else found


def _fraction_digits(book: RuleBook, digits: Fraction, room: int, *, is_first: bool) -> list[Alternative]:
    if digits == Fraction():
        least = 1 if is_first else 0
        return [_any(book, least, room)] if room else [[]] * (not is_first)
    found: list[Alternative] = []
    # Behind the last digit of an end that belongs to the range, zeros say nothing new.
    is_done = not is_first and digits.high == "" and not digits.is_below
    if room and not is_done:
        for following, members in groupby(range(10), digits.after):
            tail = _fraction_digits(book, following, room - 1, is_first=False) if following is not None else []
            if tail:
                found.append([_class(list(members)), *(tail[0] if len(tail) == 1 else [book.add(*tail)])])
    return [*found, []] if digits.may_end and not is_first else found


def multiples(book: RuleBook, step: int, most_digits: int) -> list[Alternative]:
    """Alternatives for the multiples of a step from 1 on, of at most `most_digits` digits.

    The remainder of what is written is all that has to be known of it: a rule for each, and for each number of digits.
    """
    names: dict[tuple[int, int], str] = {}

    def rule(remainder: int, room: int) -> str:
        if (remainder, room) not in names:
            names[remainder, room] = book.add(*_steps(range(10), step, remainder, room, rule))
        return names[remainder, room]

    return _steps(range(1, 10), step, None, most_digits, rule)


def _steps(
    digits: Sequence[int], step: int, remainder: int | None, room: int, rule: Callable[[int, int], str]
) -> list[Alternative]:
    found: list[Alternative] = []
    following = sorted(digits, key=lambda digit: _after(step, remainder, digit)) if room else []
    for target, members in groupby(following, lambda digit: _after(step, remainder, digit)):
        found.append([_class(list(members)), rule(target, room - 1)])
    return [*found, []] if remainder == 0 else found


def _after(step: int, remainder: int | None, digit: int) -> int:
    return ((remainder or 0) * 10 + digit) % step


def _any(book: RuleBook, least: int, most: int) -> list[str]:
    """So many digits; a rule of their own, since repetitions are written out wherever they stand."""
    return [book.add([f"digit{{{least},{most}}}"])] if most else []


def _class(digits: Sequence[int]) -> str:
    return "[" + "".join(map(str, digits)) + "]"
