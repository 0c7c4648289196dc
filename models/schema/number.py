"""Numbers: ranges and steps, exactly as far as digits can say."""

from collections.abc import Iterator
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from math import lcm
from typing import Final

from models.schema.digits import Fraction, fraction, limits, multiples, naturals
from models.schema.fault import Fault
from models.schema.pruning import Alternative
from models.schema.rulebook import RuleBook
from models.schema.shape import Bound, Number

# Whole numbers of 18 digits fit into 64 bits everywhere.
MAX_DIGITS: Final = 18
# A double tells all decimals of 15 digits apart. A range with more of them could be left by rounding.
EXACT_DIGITS: Final = 15
# Multiples that are listed one by one, the nearest to zero, where remainders would take too many rules.
MAX_LISTED: Final = 500
MAX_REMAINDERS: Final = 20
_DIGITS_OF_MULTIPLES: Final = 9

_FAR: Final = Decimal(10**MAX_DIGITS - 1)
_WIDE: Final = Context(prec=400)
_NEAREST: Final = Bound(Decimal(0), False)


def number(book: RuleBook, shape: Number) -> list[Alternative]:
    """The alternatives of a number.

    Raises:
        Fault: it would have more digits than are written here.

    """
    if shape.low is None and shape.high is None and not shape.steps:
        return [["integer" if shape.is_whole else "number"]]
    if (shape.low and shape.low.value > _FAR) or (shape.high and -shape.high.value > _FAR):
        raise Fault(shape.at, f"numbers have at most {MAX_DIGITS} digits here")
    found: list[Alternative] = []
    if shape.high is None or shape.high.value >= 0:
        found.extend(_magnitudes(book, shape, max(shape.low or _NEAREST, _NEAREST), shape.high))
    if shape.low is None or shape.low.value < 0:
        least = _flipped(shape.high) if shape.high is not None and shape.high.value < 0 else Bound(Decimal(0), True)
        most = None if shape.low is None else _flipped(shape.low)
        found.extend(['"-"', *digits] for digits in _magnitudes(book, shape, least, most))
    return found


def contains(shape: Number, value: Decimal) -> bool:
    """Whether a value is such a number."""
    low, high = shape.low, shape.high
    if low is not None and (value < low.value or (low.is_open and value == low.value)):
        return False
    if high is not None and (value > high.value or (high.is_open and value == high.value)):
        return False
    if shape.is_whole and value != value.to_integral_value():
        return False
    return all(not _WIDE.remainder(value, step) for step in shape.steps)


def _flipped(bound: Bound) -> Bound:
    return Bound(_WIDE.minus(bound.value), bound.is_open)


def _magnitudes(book: RuleBook, shape: Number, low: Bound, high: Bound | None) -> Iterator[Alternative]:
    """Numbers without a sign, from low to high, 0 <= low."""
    step, places = _step(shape)
    if step == 1 and not shape.is_whole and (places or not shape.steps):
        return _decimals(book, low, high, places if shape.steps else EXACT_DIGITS)
    if places:
        return _listed(book, step, places, *_multiples(low, high, step, places))
    first, last = _multiples(low, high, step, 0)
    return _stepped(book, step, first, last, is_endless=high is None)


def _step(shape: Number) -> tuple[int, int]:
    """What the number is a multiple of, in units of the last of so many places behind the point."""
    exponents = [step.normalize(_WIDE).as_tuple().exponent for step in shape.steps]
    places = max([0, *(-int(exponent) for exponent in exponents)])
    step = lcm(*(int(_WIDE.scaleb(step, places)) for step in shape.steps))
    return (lcm(step, 10**places) // 10**places, 0) if shape.is_whole else (step, places)


def _multiples(low: Bound, high: Bound | None, step: int, places: int) -> tuple[int, int]:
    """The first and the last multiple in a range, in steps."""
    unit = Decimal(step).scaleb(-places, _WIDE)
    first = int(_WIDE.divide_int(low.value, unit))
    first += _WIDE.multiply(unit, Decimal(first)) < low.value
    first += low.is_open and _WIDE.multiply(unit, Decimal(first)) == low.value
    most = _FAR if high is None else min(high.value, _FAR)
    last = int(_WIDE.divide_int(most, unit))
    last -= high is not None and high.is_open and _WIDE.multiply(unit, Decimal(last)) == high.value
    return first, last


def _stepped(book: RuleBook, step: int, first: int, last: int, *, is_endless: bool) -> Iterator[Alternative]:
    """Whole multiples of a step."""
    unit = int(str(step).rstrip("0"))
    zeros = ['"' + "0" * (len(str(step)) - len(str(unit))) + '"'] if unit != step else []
    if first <= 0 <= last:
        yield ['"0"']
    first = max(first, 1)
    if unit == 1:
        yield from ([*digits, *zeros] for digits in naturals(book, first, last))
    elif first == 1 and last > MAX_LISTED and unit <= MAX_REMAINDERS:
        shorter = min(len(str(unit * last)) - 1, _DIGITS_OF_MULTIPLES)
        yield [book.add(*multiples(book, unit, shorter)), *zeros]
        yield from _listed(book, step, 0, -(-(10**shorter) // unit), 0 if is_endless else last)
    else:
        yield from _listed(book, step, 0, first, last)


def _listed(book: RuleBook, step: int, places: int, first: int, last: int) -> Iterator[Alternative]:
    """The multiples that are nearest to zero, one by one."""
    units = (Decimal(number * step) for number in range(first, min(last, first + MAX_LISTED) + 1))
    texts = [format(unit.scaleb(-places, _WIDE).normalize(_WIDE), "f") for unit in units]
    if texts:
        yield [book.choice(dict.fromkeys(texts, ()))]


def _decimals(book: RuleBook, low: Bound, high: Bound | None, places: int) -> Iterator[Alternative]:
    """Numbers with a fraction and without an exponent."""
    first, after_first, is_above = _cut(low, places, ROUND_CEILING)
    last, after_last, is_below = _cut(high or Bound(_FAR, True), places, ROUND_FLOOR)
    room = places if high is None else min(places, max(EXACT_DIGITS - len(str(last)), 0))
    if first == last:
        both = limits(after_first, after_last, is_above=is_above, is_below=is_below)
        yield from _with(book, first, fraction(book, both, max(room, len(after_first), len(after_last))))
    elif first < last:
        near = max(min(places, EXACT_DIGITS - len(str(first))), len(after_first), 0)
        yield from _with(book, first, fraction(book, limits(low=after_first, is_above=is_above), near))
        between = book.add(*fraction(book, Fraction(), room))
        yield from ([*digits, between] for digits in naturals(book, first + 1, last - 1))
        far = fraction(book, Fraction(high=after_last, is_below=is_below), max(room, len(after_last)))
        yield from _with(book, last, far)


def _with(book: RuleBook, whole: int, fractions: list[Alternative]) -> Iterator[Alternative]:
    if fractions:
        yield [f'"{whole}"', book.add(*fractions)]


def _cut(bound: Bound, places: int, rounding: str) -> tuple[int, str, bool]:
    """A bound with as many digits as are exact: its whole part, the digits behind the point, whether it is open."""
    kept = min(places, max(EXACT_DIGITS - len(str(int(bound.value))), 0))
    value = bound.value.quantize(Decimal(1).scaleb(-kept), rounding, _WIDE)
    whole = int(value)
    digits = format(value - whole, "f").partition(".")[2].rstrip("0")
    return whole, digits, bound.is_open and value == bound.value
