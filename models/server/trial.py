"""What a chat template takes, and how it prints calls of tools, found out by trying it with small conversations. Pure.

Nothing is read off the source: what counts is what a template does with what it is given.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from models.server.messages import Tool, Turn
from models.server.repair import CALLED, SPELLED, Repair, needed, repaired

ToolFormatName: TypeAlias = Literal["hermes", "llama3", "mistral", "generic"]


@dataclass(frozen=True, slots=True)
class Form:
    """What a template takes messages to be.

    Attributes:
        has_parts: contents are lists of parts; templates of models that see pictures may know no other.
        no_tools: what it wants to be given where there are none; some take it for granted that there is a list.

    """

    has_parts: bool = False
    no_tools: tuple[()] | None = None

    def view(self, turn: Turn) -> dict[str, Any]:
        """A turn as the template sees it."""
        view: dict[str, Any] = {**turn}
        if self.has_parts:
            view["content"] = [{"type": "text", "text": turn["content"]}]
        return view


@dataclass(frozen=True, slots=True)
class Findings:
    """What is known of a template.

    Attributes:
        form: what it takes messages to be.
        repairs: what conversations need before it takes them, in order.
        tool_format: how it prints calls; `generic` if it has no way that answers can be read in.

    """

    form: Form = Form()
    repairs: tuple[Repair, ...] = ()
    tool_format: ToolFormatName = "generic"


Try: TypeAlias = Callable[[Form, list[Turn], list[Tool]], str | None]
"""Prints a conversation; None if the template refuses it."""

_FORMS: Final = tuple(Form(has_parts, no_tools) for has_parts in (False, True) for no_tools in (None, ()))
_QUESTION: Final[list[Turn]] = [{"role": "user", "content": "zqask"}]
_WORD: Final = re.compile(r"\bzq(?!id)[a-z0-9]+")
"""A word of a trial: no template has any of them."""

_DESCRIPTION: Final = "zqdescription"
_TOOL: Final[Tool] = {
    "type": "function",
    "function": {
        "name": "zqf0",
        "description": _DESCRIPTION,
        "parameters": {"type": "object", "properties": {"zqa": {"type": "string"}}, "required": ["zqa"]},
    },
}

_SPELLINGS: Final[Mapping[ToolFormatName, re.Pattern[str]]] = MappingProxyType(
    {
        "hermes": re.compile(r'<tool_call>\s*\{"name": "zqf0", "arguments": \{"zqa": "zqv0"\}\}\s*</tool_call>'),
        "mistral": re.compile(r'\[TOOL_CALLS\]\s*\[\s*\{"name": "zqf0", "arguments": \{"zqa": "zqv0"\}'),
        "llama3": re.compile(r'\{"name": "zqf0", "parameters": \{"zqa": "zqv0"\}\}'),
    }
)
"""How a call looks in each format that answers are understood in, see `models.tools.format`."""


def find_out(attempt: Try) -> Findings:
    """Try the template that `attempt` prints with."""
    form = next((form for form in _FORMS if _is_told(attempt, form, _QUESTION, _QUESTION)), _FORMS[0])
    repairs = needed(lambda turns, said: _is_told(attempt, form, turns, said))
    found = Findings(form, repairs)
    if SPELLED not in repairs:
        text = attempt(form, repaired(CALLED, repairs), [_TOOL])
        if text is not None and (name := _spelling(text)) is not None:
            return replace(found, tool_format=name)
    # A spelling that answers cannot be read in is not used in prompts either.
    return replace(found, repairs=(SPELLED, *(repair for repair in repairs if repair is not SPELLED)))


def _is_told(attempt: Try, form: Form, turns: list[Turn], said: list[Turn]) -> bool:
    text = attempt(form, turns, [])
    return text is not None and _tells(text, turns, said)


def _spelling(text: str) -> ToolFormatName | None:
    found = (name for name, spelling in _SPELLINGS.items() if spelling.search(text))
    return next(found, None) if _DESCRIPTION in text else None


def _tells(text: str, turns: list[Turn], said: list[Turn]) -> bool:
    """Whether all that was said is there, none of it glued together, and the order is that of the turns.

    But for the system's words: some templates tell them last.
    """
    printed = _WORD.findall(text)
    rest = iter(printed)
    in_order = all(word in rest for word in _words(turn for turn in turns if turn["role"] != "system"))
    return in_order and set(_words(said)) <= set(printed)


def _words(turns: Iterable[Turn]) -> list[str]:
    return [word for turn in turns for word in _WORD.findall(_said(turn))]


def _said(turn: Turn) -> str:
    name = "" if turn["role"] == "tool" else turn.get("name", "")
    return f"{name} {turn['content']} {turn.get('tool_calls', '')}"
