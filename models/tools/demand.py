"""What an answer may do with the tools it is offered, and what of it is there already."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from models.tools.format import Spoken, ToolFormat


@dataclass(frozen=True, slots=True)
class Demand:
    """What a request says of calls.

    Attributes:
        arguments: for each function that may be called, by name, the rule that its arguments follow.
        is_forced: the answer is calls and nothing else.
        is_single: at most one call.
        instead: the rule of an answer without calls; None for any words.

    """

    arguments: Mapping[str, str]
    is_forced: bool = False
    is_single: bool = False
    instead: str | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """What the client has of an answer.

    Attributes:
        words: before the calls.
        calls: in order; of the last one's arguments perhaps only the beginning.

    """

    words: str = ""
    calls: Sequence[Spoken] = field(default=())

    def spell(self, form: ToolFormat) -> str:
        """The answer so far, as the model would have spelled it."""
        return self.words + (form.spell(self.calls, is_open=True) if self.calls else "")


def foregone(form: ToolFormat, names: Sequence[str]) -> str:
    """How an answer begins that has to call one of these functions: nothing that a model has to be asked for."""
    only = names[0] + form.middle if len(names) == 1 else ""
    return form.opening + form.head + only
