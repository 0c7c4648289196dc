"""The model's own chat template: Jinja source out of a GGUF file, rendered in a sandbox.

The sandbox keeps a template from reaching into Python or changing what it is given. It does not bound its running time:
the file is the operator's choice, and messages are data here, never template source.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final, NoReturn

import jinja2
import msgspec
from jinja2.sandbox import ImmutableSandboxedEnvironment

from models.errors import LoadFailed, RequestError

# What most models that carry no template were trained on.
CHATML: Final = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class _Refused(jinja2.TemplateError):
    """The template itself called raise_exception."""


class ChatTemplate:
    """A compiled template.

    Args:
        source: Jinja; None for ChatML.
        bos: the spelling of the token that begins a text, which many templates print.
        eos: likewise for the end.
        now: local time, for templates that tell the model the date.

    Raises:
        LoadFailed: the source does not compile.

    """

    def __init__(self, source: str | None, bos: str, eos: str, now: Callable[[], datetime]) -> None:
        source = source or CHATML
        self._constants = {"bos_token": bos, "eos_token": eos}
        # A template that never names the role would print it as it prints any other, and no model was trained on that.
        self.knows_tools = "'tool'" in source or '"tool"' in source
        # The settings that the authors of templates test with (transformers.apply_chat_template).
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise_exception
        environment.globals["strftime_now"] = lambda form: now().strftime(form)
        try:
            self._template = environment.from_string(source)
        except jinja2.TemplateError as error:
            raise LoadFailed(f"the model's chat template does not compile ({error}): use another file") from error

    def render(self, messages: list[dict[str, str]]) -> str:
        """The prompt up to where the assistant's answer begins.

        Raises:
            RequestError: the template refuses these messages, e.g. because roles do not alternate.

        """
        try:
            return self._template.render(messages=messages, add_generation_prompt=True, **self._constants)
        except jinja2.TemplateError as error:
            raise RequestError(f"the local model cannot take these messages: {error}", param="messages") from error


def _raise_exception(message: str) -> NoReturn:
    raise _Refused(message)


def _to_json(value: object, indent: int | None = None) -> str:
    # Not Jinja's own filter, which escapes for HTML.
    encoded = msgspec.json.encode(value)
    return (msgspec.json.format(encoded, indent=indent) if indent else encoded).decode()
