"""The spellings of tool calls that families of models were trained on, as data.

A call is spelled in one way only, to the space: grammar (`models.tools.grammar`) and parser (`models.tools.parser`)
both follow this table, so what the one lets pass the other understands::

    opening | head NAME middle ARGUMENTS tail | between | head … tail | closing
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Spoken:
    """A call as a model spelled it.

    Attributes:
        name: of the function.
        arguments: JSON, or the beginning of it.

    """

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolFormat:
    """One spelling.

    Attributes:
        opening: before the first call.
        head: before a call's name.
        middle: between name and arguments.
        tail: behind the arguments, which are a JSON object.
        between: from one call to the next.
        closing: behind the last call.
        marker: what tells an answer's calls from its words. Calls begin where it stands first.
        is_leading: calls only count where they are all of the answer: the marker is no more than JSON.
        control: the control token that the model says before calls; it has no text. "" if there is none.

    """

    opening: str
    head: str
    middle: str
    tail: str
    between: str
    closing: str
    marker: str
    is_leading: bool = False
    control: str = ""

    def begun(self, name: str) -> str:
        """The spelling of a call up to its arguments."""
        return f"{self.head}{name}{self.middle}"

    def spell(self, calls: Sequence[Spoken], *, is_open: bool) -> str:
        """The spelling of calls.

        Args:
            calls: in order; at least one.
            is_open: the last one's arguments may not be complete: nothing stands behind them.

        """
        *before, last = [self.begun(call.name) + call.arguments for call in calls]
        text = self.opening + "".join(f"{call}{self.tail}{self.between}" for call in before) + last
        return text if is_open else text + self.tail + self.closing


_HERMES: Final = ToolFormat(
    opening="<tool_call>\n",
    head='{"name": "',
    middle='", "arguments": ',
    tail="}",
    between="\n</tool_call>\n<tool_call>\n",
    closing="\n</tool_call>",
    marker="<tool_call>",
)

_MISTRAL: Final = ToolFormat(
    opening="[",
    head='{"name": "',
    middle='", "arguments": ',
    tail="}",
    between=", ",
    closing="]",
    marker='[{"name": "',
    is_leading=True,
    control="[TOOL_CALLS]",
)

# Llama 3 was trained on one call for an answer; vLLM reads several parted by semicolons, and so do we.
_LLAMA3: Final = ToolFormat(
    opening="",
    head='{"name": "',
    middle='", "parameters": ',
    tail="}",
    between="; ",
    closing="",
    marker='{"name": "',
    is_leading=True,
)

FORMATS: Final = MappingProxyType({"hermes": _HERMES, "llama3": _LLAMA3, "mistral": _MISTRAL, "generic": _HERMES})
"""By the names that `ChatTemplate.tool_format` gives. Models without a spelling of their own are told one by a system
message: the simplest that others were trained on.
"""
