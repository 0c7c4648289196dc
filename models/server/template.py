"""The model's own chat template: Jinja source out of a GGUF file, rendered in a sandbox.

Messages are data here, never template source. What a template does not take is repaired before it is refused, see
`models.server.repair`; what it takes is found out when it is loaded, see `models.server.trial`.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, NoReturn

import jinja2

from models.errors import LoadFailed, RequestError
from models.server.messages import Tool, Turn
from models.server.repair import REPAIRS, SPELLED, Repair, repaired, user_first
from models.server.sandbox.budget import Budget
from models.server.sandbox.calendar import Calendar
from models.server.sandbox.template import BoundedTemplate, TemplateEndless, TemplateFault
from models.server.spelling import with_described
from models.server.trial import Form, ToolFormatName, find_out

# What most models that carry no template were trained on.
CHATML: Final = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

_TRIAL_UNITS: Final = 1_000_000
"""Conversations to try a template with are small."""

_LEAST_UNITS: Final = 8_000_000
_UNITS_PER_CHARACTER: Final = 32
"""Templates look at each message some ten times, and for each at all others; a second, where one does not end."""

_ANY_WEIGHT: Final = 1 << 40


class ChatTemplate:
    """A compiled template, and what was found out about it.

    Args:
        source: Jinja; None for ChatML.
        bos: the spelling of the token that begins a text, which many templates print.
        eos: likewise for the end.
        now: local time, for templates that tell the model the date.

    Raises:
        LoadFailed: the source does not compile, or does not come to an end.

    """

    def __init__(self, source: str | None, bos: str, eos: str, now: Callable[[], datetime]) -> None:
        self._constants = {"bos_token": bos, "eos_token": eos, "add_generation_prompt": True}
        functions: dict[str, Callable[..., object]] = {
            "raise_exception": _raise_exception,
            "strftime_now": Calendar(now),
        }
        try:
            self._template = BoundedTemplate(source or CHATML, functions)
        except TemplateFault as error:
            raise LoadFailed(f"the model's chat template does not compile ({error}): use another file") from error
        self._found = find_out(self._tried)

    @property
    def tool_format(self) -> ToolFormatName:
        """How the model is to spell calls; `generic` is told to it in a system message."""
        return self._found.tool_format

    @property
    def knows_tools(self) -> bool:
        """Whether it describes tools itself, as the model was trained."""
        return self.tool_format != "generic"

    def render(self, messages: Sequence[Turn], *, tools: Sequence[Tool] | None = None) -> str:
        """The prompt up to where the assistant's answer begins.

        Args:
            messages: the conversation.
            tools: that may be called.

        Raises:
            RequestError: the template refuses these messages, however they are put.

        """
        turns, native = self._with_tools(list(messages), list(tools or ()))
        units = _LEAST_UNITS + _UNITS_PER_CHARACTER * Budget(_ANY_WEIGHT).weigh(turns, native)
        faults: list[TemplateFault] = []
        for repairs in self._ladder():
            try:
                return self._print(self._found.form, repaired(turns, repairs), native, units)
            except TemplateEndless as error:
                raise _refusal(error) from error
            except TemplateFault as error:
                faults.append(error)
        raise _refusal(faults[0]) from faults[0]

    def _with_tools(self, turns: list[Turn], tools: list[Tool]) -> tuple[list[Turn], list[Tool]]:
        """The tools in a system message, or apart for a template that knows what to do with them."""
        if tools and not self.knows_tools:
            return with_described(turns, tools), []
        if tools and self.tool_format == "llama3":
            # These templates put the tools into the first message that is not the system's, and call it the user's.
            return user_first(turns), tools
        return turns, tools

    def _ladder(self) -> list[tuple[Repair, ...]]:
        """What to try, from what the template needs as a rule to all that there is."""
        known = self._found.repairs
        structural = tuple(repair for repair in REPAIRS if repair in known or repair.is_structural)
        return [known, structural, (SPELLED, *(repair for repair in structural if repair is not SPELLED))]

    def _print(self, form: Form, turns: list[Turn], tools: list[Tool], units: int) -> str:
        messages = [form.view(turn) for turn in turns]
        return self._template.render({"messages": messages, "tools": tools or form.no_tools, **self._constants}, units)

    def _tried(self, form: Form, turns: list[Turn], tools: list[Tool]) -> str | None:
        try:
            return self._print(form, turns, tools, _TRIAL_UNITS)
        except TemplateEndless as error:
            raise LoadFailed(f"the model's chat template cannot be used ({error}): use another file") from error
        except TemplateFault:
            return None


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _refusal(error: TemplateFault) -> RequestError:
    return RequestError(f"the local model cannot take these messages: {error}", param="messages")
