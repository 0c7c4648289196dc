"""The filters and tests that chat templates use, each of which pays for what it does."""

import html
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import update_wrapper
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeAlias, cast

from jinja2 import pass_context
from jinja2.filters import FILTERS as JINJAS_FILTERS
from jinja2.runtime import Context
from jinja2.tests import TESTS as JINJAS_TESTS

from models.server.sandbox import rewrite
from models.server.sandbox.budget import VALUE, Budget, length

Function: TypeAlias = Callable[..., Any]

_WIDEST: Final = 16
"""The indentation, in spaces."""

_SPREAD: Final = 16
"""A character of its own is an object of some fifty bytes."""


class _Metered(Protocol):
    budget: Budget


def budget_of(context: Context) -> Budget:
    """The budget of the rendering that this belongs to."""
    return cast("_Metered", context.environment).budget


def joined(budget: Budget, separator: str, items: Iterable[object]) -> str:
    """`separator.join`, of any values."""
    texts = []
    for item in items:
        budget.spend(budget.weigh(item) + len(separator))
        texts.append(str(item))
    return separator.join(texts)


def replaced(budget: Budget, text: str, old: str, new: str, count: int = -1) -> str:
    """`text.replace`."""
    budget.spend(len(text) + len(old))
    budget.spend(text.count(old) * len(new))
    return text.replace(old, new, count)


def spread(budget: Budget, text: str) -> None:
    """Pay for a text that is taken to pieces."""
    budget.spend(_SPREAD * len(text))


@pass_context
def _join(context: Context, value: Any, d: object = "", attribute: str | int | None = None) -> str:  # noqa: ANN401
    if attribute is not None:
        value = (context.environment.getitem(item, attribute) for item in value)
    return joined(budget_of(context), str(d), value)


@pass_context
def _replace(context: Context, value: object, old: str, new: str, count: int = -1) -> str:
    budget = budget_of(context)
    budget.spend(budget.weigh(value))
    return replaced(budget, str(value), str(old), str(new), count)


@pass_context
def _indent(context: Context, value: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    margin = width if isinstance(width, str) else " " * _within(width, _WIDEST)
    budget = budget_of(context)
    spread(budget, value)
    lines = (value + "\n").splitlines()
    budget.spend(len(lines) * len(margin))
    indented = (margin + line if line or blank else line for line in lines[1:])
    return "\n".join([(margin if first else "") + lines[0], *indented])


@pass_context
def _tojson(
    context: Context,
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """As transformers do it. Jinja's own escapes for HTML, which no model was trained on."""
    _within(indent or 0, _WIDEST)
    _within(sum(map(len, separators or ())), _WIDEST)
    encoder = json.JSONEncoder(
        ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys, allow_nan=True
    )
    budget = budget_of(context)
    budget.spend(budget.weigh(value))
    chunks = []
    for chunk in encoder.iterencode(value):
        budget.spend(len(chunk))
        chunks.append(chunk)
    return "".join(chunks)


@pass_context
def _map(context: Context, value: Iterable[object], *args: object, **kwargs: object) -> Iterator[object]:
    budget = budget_of(context)
    for item in JINJAS_FILTERS["map"](context, value, *args, **kwargs):
        budget.spend(_TESTED + budget.weigh(item))
        yield item


@pass_context
def _list(context: Context, value: Iterable[object]) -> list[object]:
    spread(budget_of(context), value) if isinstance(value, str) else budget_of(context).spend(length(value))
    return list(value)


def _within(given: int, most: int) -> int:
    if not 0 <= given <= most:
        raise ValueError(f"{given} is not between 0 and {most}")
    return given


def _safe(value: object) -> str:
    return str(value)


def _escape(value: object) -> str:
    return html.escape(str(value))


@pass_context
def _charge(context: Context, units: int) -> bool:
    budget_of(context).spend(units)
    return True


@pass_context
def _concat(context: Context, items: list[object]) -> str:
    return joined(budget_of(context), "", items)


@pass_context
def _contained(context: Context, value: object, container: Any) -> bool:  # noqa: ANN401
    """`value in container`. A text is found by its hash or by few comparisons; a list is compared with every item."""
    budget = budget_of(context)
    weight = budget.weigh(value)
    size = length(container)
    budget.spend(weight * size if isinstance(value, list | tuple | dict) else weight + size)
    return bool(value in container)


@pass_context
def _sliced(context: Context, value: object) -> object:
    budget_of(context).spend(length(value))
    return value


@pass_context
def _weighed(context: Context, value: object) -> object:
    budget = budget_of(context)
    budget.spend(budget.weigh(value))
    return value


def _paying(function: Any, cost: Callable[..., int]) -> Function:  # noqa: ANN401
    """The function, which first pays what `cost` says of the budget and its arguments."""
    kind = getattr(function, "jinja_pass_arg", None)
    first = _PASSED[kind.name if kind else ""]

    def paid(context: Context, *args: object, **kwargs: object) -> object:
        budget = budget_of(context)
        budget.spend(cost(budget, *args, *kwargs.values()))
        return function(*first(context), *args, **kwargs)

    return pass_context(update_wrapper(paid, function))


def _paying_each(functions: Mapping[str, Any], names: str, cost: Callable[..., int]) -> dict[str, Function]:
    return {name: _paying(functions[name], cost) for name in names.split()}


_PASSED: Final[Mapping[str, Callable[[Context], tuple[object, ...]]]] = MappingProxyType(
    {
        "": lambda _context: (),
        "context": lambda context: (context,),
        "environment": lambda context: (context.environment,),
        "eval_context": lambda context: (context.eval_ctx,),
    }
)
"""What a function of Jinja's wants to be given first."""


def _deep(budget: Budget, *values: object) -> int:
    return budget.weigh(*values)


def _shallow(_budget: Budget, *values: object) -> int:
    return VALUE + sum(map(length, values))


def _each_tested(_budget: Budget, items: object, *_rest: object) -> int:
    return VALUE + _TESTED * length(items)


def _product(budget: Budget, value: object, container: object) -> int:
    return budget.weigh(value) * (1 + length(container))


_READING: Final = "abs capitalize dictsort float int lower max min sort string title trim unique upper wordcount"
"""They look at all that they are given."""

_COUNTING: Final = "count d default first items last length reverse"
"""They look at each item of a list at most, not into it."""

_CHOOSING: Final = "reject rejectattr select selectattr"
"""They test each item of a list."""

_TESTED: Final = 64
"""What it costs to test an item, or to make another of it."""

_COMPARING: Final = "== != < <= > >= eq equalto ge greaterthan gt le lessthan lower lt ne upper"

_OWN: Final[dict[str, Function]] = {
    "e": _paying(_escape, _deep),
    "escape": _paying(_escape, _deep),
    "indent": _indent,
    "join": _join,
    "list": _list,
    "map": _map,
    "replace": _replace,
    "safe": _paying(_safe, _deep),
    "tojson": _tojson,
    rewrite.CHARGE: _charge,
    rewrite.CONCAT: _concat,
    rewrite.CONTAINED: _contained,
    rewrite.SLICED: _sliced,
    rewrite.WEIGHED: _weighed,
}

FILTERS: Final[Mapping[str, Function]] = MappingProxyType(
    _paying_each(JINJAS_FILTERS, _READING, _deep)
    | _paying_each(JINJAS_FILTERS, _COUNTING, _shallow)
    | _paying_each(JINJAS_FILTERS, _CHOOSING, _each_tested)
    | _OWN
)

TESTS: Final[Mapping[str, Function]] = MappingProxyType(
    {name: cast("Function", test) for name, test in JINJAS_TESTS.items()}
    | _paying_each(JINJAS_TESTS, _COMPARING, _deep)
    | _paying_each(JINJAS_TESTS, "in", _product)
)
