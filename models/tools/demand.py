"""What an answer may do with the tools it is offered, and what of it is there already."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from models.tools.format import Spoken, ToolFormat


@dataclass(frozen=True, slots=True)
class Foreword:
    """What may stand before the words of an answer: thoughts.

    Attributes:
        marks: behind each of them the words may begin.
        recipient: behind it the name of a function may stand, and behind that, in a head of its own, the arguments; ""
            if the model spells no calls so.

    """

    marks: tuple[str, ...] = ()
    recipient: str = ""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a request says of calls.

    Attributes:
        arguments: for each function that may be called, by name, the rule that its arguments follow.
        is_forced: the answer is calls and nothing else.
        is_single: at most one call.
        instead: the rule of an answer without calls; None for any words.
        is_begun: there are words already, so that those to come are no call in plain JSON.
        foreword: what may stand before the words.

    """

    arguments: Mapping[str, str]
    is_forced: bool = False
    is_single: bool = False
    instead: str | None = None
    is_begun: bool = False
    foreword: Foreword = field(default=Foreword())


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
