"""Jinja's sandbox, with a budget for each rendering."""

import copy
import re
from collections.abc import Callable
from typing import Any, Final

from jinja2 import nodes, pass_context
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Cycler, Joiner, Namespace

from models.server.sandbox.budget import Budget, length
from models.server.sandbox.functions import FILTERS, TESTS, budget_of, joined, replaced, spread
from models.server.sandbox.rewrite import Metering

_COMPILING_UNITS: Final = 10_000
"""For what Jinja works out beforehand."""

_WIDEST_BITS: Final = 1024
"""Of a product of whole numbers."""

_DICT_METHODS: Final = frozenset({"get", "items", "keys", "values"})
_TEXT_METHODS: Final = (
    "capitalize count endswith find index isalnum isalpha isdigit islower isnumeric isspace isupper join lower lstrip "
    "partition removeprefix removesuffix replace rfind rpartition rsplit rstrip split splitlines startswith strip "
    "swapcase title upper"
)
_SPREADING: Final = frozenset({"rsplit", "split", "splitlines"})

_JINJAS_OWN: Final = (Cycler, Joiner, LoopContext, Macro, Namespace)

_WIDE_FORMAT: Final = re.compile(r"%(\([^)]*\))?[^%a-zA-Z]*(\*|\d{3})|:[^{}]*(\{|\d{3})")
"""A width makes a long text of a short one; it may come from outside, and be written in the digits of any script."""

_FORMATTED_WIDTH: Final = 100


class _Quiet(Namespace):
    """Namespaces may contain each other, and nobody prints one."""

    def __repr__(self) -> str:
        return "<namespace>"


class _Generation(Extension):
    """`{% generation %}` marks for training what an assistant said; it prints what is in it."""

    tags = {"generation"}  # noqa: RUF012 (what the base class says)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """The statements up to the end of the mark."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


@pass_context
def _finalize(context: Context, value: object) -> object:
    """Whatever is printed comes through here."""
    budget = budget_of(context)
    budget.spend(budget.weigh(value))
    return value


class MeteredEnvironment(ImmutableSandboxedEnvironment):
    """Knows what chat templates use, and nothing else; `with_budget` makes one for each rendering."""

    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)

    def __init__(self) -> None:
        # The settings that the authors of templates test with (transformers.apply_chat_template).
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.loopcontrols", _Generation],
            finalize=_finalize,
            optimized=False,
        )
        self.budget = Budget(_COMPILING_UNITS)
        self.filters = dict(FILTERS)
        self.tests = dict(TESTS)
        del self.globals["lipsum"]
        self.globals["namespace"] = _Quiet

    def with_budget(self, budget: Budget) -> "MeteredEnvironment":
        """The same, for one rendering."""
        made = copy.copy(self)
        made.budget = budget
        return made

    def metered(self, source: str) -> nodes.Template:
        """The syntax tree of a template, rewritten to pay. Raises TemplateSyntaxError."""
        tree = Metering().visit(self.parse(source))
        assert isinstance(tree, nodes.Template)
        return tree.set_environment(self)  # type: ignore[return-value]

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:  # noqa: ANN401
        """Methods that pay, and those of Jinja's own objects."""
        if isinstance(obj, str):
            return attr in _TEXT_METHODS.split()
        if isinstance(obj, dict):
            return attr in _DICT_METHODS
        return isinstance(obj, _JINJAS_OWN) and super().is_safe_attribute(obj, attr, value)

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Macros have paid; methods have not."""
        text = getattr(obj, "__self__", None)
        if isinstance(text, str):
            return self._method(text, obj, args, _given(kwargs))
        if not isinstance(obj, Macro):
            self.budget.spend(self.budget.weigh(*args, *_given(kwargs).values()))
        return super().call(context, obj, *args, **kwargs)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:  # noqa: ANN401
        """`"{}".format`, which may print one thing many times."""
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None

        def paid(*args: Any, **kwargs: Any) -> str:  # noqa: ANN401
            self._pay_format(value.__self__, value.__self__.count("{"), *args, *kwargs.values())
            return wrapped(*args, **kwargs)

        return paid

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401
        """Operators can make much of little."""
        match operator:
            case "+":
                self.budget.spend(length(left) + length(right))
            case "*" | "**":
                self._pay_product(operator, left, right)
            case "%" if isinstance(left, str):
                self._pay_format(left, left.count("%"), right)
        return super().call_binop(context, operator, left, right)

    def _method(self, text: str, method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        name = method.__name__
        self.budget.spend(len(text) + sum(map(length, args)))
        if name == "join":
            return joined(self.budget, text, *args)
        if name == "replace":
            return replaced(self.budget, text, *args, **kwargs)
        if name in _SPREADING:
            spread(self.budget, text)
        return method(*args, **kwargs)

    def _pay_format(self, text: str, fields: int, *values: object) -> None:
        if _WIDE_FORMAT.search(text):
            raise ValueError("a format with such a width is not supported")
        self.budget.spend(len(text) + fields * (self.budget.weigh(*values) + _FORMATTED_WIDTH))

    def _pay_product(self, operator: str, left: object, right: object) -> None:
        if isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length() + right.bit_length() if operator == "*" else left.bit_length() * abs(right)
            if bits > _WIDEST_BITS:
                raise OverflowError("a number has too many digits")
            return
        for items, times in ((left, right), (right, left)):
            if isinstance(times, int):
                self.budget.spend(length(items) * max(times, 0))


def _given(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Without the variables that Jinja passes to functions that want its context."""
    return {name: value for name, value in kwargs.items() if name not in {"_loop_vars", "_block_vars"}}
