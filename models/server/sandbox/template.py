"""A template of a stranger's: compiled once, rendered with a budget."""

from collections.abc import Callable, Mapping
from typing import Final

import jinja2

from models.server.sandbox.budget import Budget, BudgetSpent
from models.server.sandbox.environment import MeteredEnvironment

_LONGEST_SOURCE: Final = 128 * 1024
"""The longest templates of current models, which write down a tool format of their own, have 20 KB."""

_FAULTS: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    SyntaxError,
    TypeError,
    ValueError,
    jinja2.TemplateError,
)
"""What a program that makes mistakes may raise, in Jinja's parser, in Python's compiler, or while it runs."""


class TemplateFault(Exception):
    """The template cannot be compiled, or not be rendered with these values."""


class TemplateEndless(TemplateFault):
    """It does more work than any chat needs."""


class BoundedTemplate:
    """A compiled template; may be rendered by several threads at once.

    Args:
        source: Jinja.
        functions: that the template may call, besides Jinja's own.

    Raises:
        TemplateFault: the source does not compile, or is too long.

    """

    def __init__(self, source: str, functions: Mapping[str, Callable[..., object]]) -> None:
        if len(source) > _LONGEST_SOURCE:
            raise TemplateFault(f"it has {len(source)} characters, which is more than {_LONGEST_SOURCE}")
        self._environment = MeteredEnvironment()
        self._environment.globals.update(functions)
        try:
            self._code = self._environment.compile(self._environment.metered(source))
        except _FAULTS as error:
            raise TemplateFault(_words(error)) from error

    def render(self, values: Mapping[str, object], units: int) -> str:
        """Print the template.

        Args:
            values: what it knows by name.
            units: of work, see `Budget`.

        Raises:
            TemplateFault: it refuses these values, or makes a mistake.
            TemplateEndless: it has used up the units.

        """
        environment = self._environment.with_budget(Budget(units))
        template = jinja2.Template.from_code(environment, self._code, environment.make_globals(None))
        try:
            return template.render(values)
        except BudgetSpent as error:
            raise TemplateEndless(_words(error)) from None
        except _FAULTS as error:
            raise TemplateFault(_words(error)) from error


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
