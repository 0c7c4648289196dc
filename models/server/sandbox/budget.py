"""How much work a rendering may still do."""

from typing import Any, Final

import jinja2

_COLLECTIONS: Final = frozenset({list, tuple, type({}.keys()), type({}.values()), type({}.items())})

VALUE: Final = 16
"""What a value costs that is looked at, its size apart."""


class BudgetSpent(jinja2.TemplateError):
    """The template wants to do more work than any chat needs."""


class Budget:
    """What is left. A unit is a node of the template that is evaluated, or a character.

    Args:
        units: to begin with; each is some 0.1 us of a processor's time, at most.

    """

    __slots__ = ("left",)

    def __init__(self, units: int) -> None:
        self.left = units

    def spend(self, units: int) -> None:
        """Pay beforehand. Raises BudgetSpent."""
        self.left -= units
        if self.left < 0:
            raise BudgetSpent("the template does not come to an end")

    def weigh(self, *values: object) -> int:
        """How much work it is to print or to compare values, with all that they contain.

        What a list contains twice counts twice, since it is printed twice; so lists of lists can weigh more than any
        machine has memory for. Raises BudgetSpent as soon as there is more than can be paid.
        """
        weight = 0
        rest: list[Any] = list(values)
        while rest:
            value = rest.pop()
            weight += VALUE
            if isinstance(value, dict):
                rest += value
                rest += value.values()
            elif type(value) in _COLLECTIONS:
                rest += value
            else:
                weight += length(value)
            if weight > self.left:
                self.spend(weight)
        return weight


def length(value: object) -> int:
    """Of a text or a collection; 0 of all else."""
    return len(value) if hasattr(value, "__len__") else 0
