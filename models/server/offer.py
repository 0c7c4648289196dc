"""The tools that a chat request offers, and what it says of calling them. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import Meta, Struct

from models.errors import RequestError

MOST_TOOLS: Final = 128
"""OpenAI's own limit."""

_Name: TypeAlias = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
"""What OpenAI lets a function be called; none of it needs an escape in JSON."""


class Function(Struct, frozen=True, omit_defaults=True):
    """A function that the model may call. `parameters` is the JSON schema of its arguments."""

    name: _Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Struct, frozen=True):
    """A tool. Only functions are known here; what else is offered cannot be called."""

    type: Literal["function", "custom"]
    function: Function | None = None


class Named(Struct, frozen=True):
    """Which function."""

    name: str


class NamedTool(Struct, frozen=True):
    """Which tool."""

    type: Literal["function"]
    function: Named


class AllowedTools(Struct, frozen=True):
    """Some of the tools, and whether one of them has to be called."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedTool], Meta(min_length=1)]


class Choice(Struct, frozen=True):
    """One tool that has to be called, or some that may be."""

    type: Literal["function", "allowed_tools", "custom"]
    function: Named | None = None
    allowed_tools: AllowedTools | None = None


Mode: TypeAlias = Literal["none", "auto", "required"]


@dataclass(frozen=True, slots=True)
class Offer:
    """What the model may do with tools in one answer.

    Attributes:
        functions: all that it is told of, by name.
        names: of those that it may call.
        is_forced: it has to call one, and says nothing else.
        is_single: it calls one at most.
        is_legacy: the client knows `function_call`, not `tool_calls`.
        finish: how an answer ends that calls.

    """

    functions: Mapping[str, Function]
    names: Sequence[str]
    is_forced: bool
    is_single: bool
    is_legacy: bool
    finish: Literal["tool_calls", "function_call", "stop"]

    @property
    def tools(self) -> list[dict[str, Any]]:
        """The functions as chat templates take them."""
        return [{"type": "function", "function": _plain(function)} for function in self.functions.values()]


def offer_of_tools(tools: Sequence[Tool], choice: Mode | Choice | None, *, is_parallel: bool) -> Offer | None:
    """What `tools` and `tool_choice` mean; None if no call is possible.

    Raises:
        RequestError: the choice goes without tools, or names others than those.

    """
    functions = {tool.function.name: tool.function for tool in tools if tool.function is not None}
    if isinstance(choice, Choice):
        return _chosen(functions, choice, is_parallel=is_parallel)
    if choice == "required" and not functions:
        raise RequestError("a function can only be called where one is offered", param="tool_choice")
    if choice == "none" or not functions:
        return None
    return Offer(
        functions, list(functions), choice == "required", not is_parallel, is_legacy=False, finish="tool_calls"
    )


def offer_of_functions(functions: Sequence[Function], choice: Literal["none", "auto"] | Named | None) -> Offer | None:
    """The same for `functions` and `function_call`, which OpenAI has replaced but still takes.

    Raises:
        RequestError: the choice is no function.

    """
    known = {function.name: function for function in functions}
    if isinstance(choice, Named):
        names = [_known(choice.name, known, "function_call")]
        return Offer(known, names, is_forced=True, is_single=True, is_legacy=True, finish="stop")
    if choice == "none" or not known:
        return None
    return Offer(known, list(known), is_forced=False, is_single=True, is_legacy=True, finish="function_call")


def _chosen(functions: Mapping[str, Function], choice: Choice, *, is_parallel: bool) -> Offer:
    if choice.type == "function" and choice.function is not None:
        names = [_known(choice.function.name, functions, "tool_choice")]
        # OpenAI ends what was demanded by name as any answer; who demanded it knows that it is a call.
        return Offer(functions, names, is_forced=True, is_single=True, is_legacy=False, finish="stop")
    if choice.type == "allowed_tools" and (allowed := choice.allowed_tools) is not None:
        names = [_known(tool.function.name, functions, "tool_choice") for tool in allowed.tools]
        is_forced = allowed.mode == "required"
        return Offer(functions, names, is_forced, not is_parallel, is_legacy=False, finish="tool_calls")
    raise RequestError(f"a choice of type {choice.type!r} names no function", param="tool_choice")


def _known(name: str, functions: Mapping[str, Function], param: str) -> str:
    if name not in functions:
        raise RequestError("names a function that is not offered", param=param)
    return name


def _plain(function: Function) -> dict[str, Any]:
    """What a model has to know; templates want to find all three."""
    return {
        "name": function.name,
        "description": function.description or "",
        "parameters": function.parameters or {"type": "object", "properties": {}},
    }
