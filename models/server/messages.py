"""The messages of a chat as clients send them, and as chat templates take them. Pure.

A `Message` is what OpenAI's document says, and what other servers' clients add to it. A `Turn` has one text, a role
that templates know, and calls whose arguments are values: what a template cannot take is the concern of
`models.server.repair`.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, NotRequired, TypeAlias, TypedDict

import msgspec
from msgspec import Meta, Struct

from models.errors import RequestError


class Part(Struct, frozen=True):
    """One part of a message's content."""

    type: str
    text: str | None = None
    refusal: str | None = None


class CalledFunction(Struct, frozen=True):
    """Of a call: which function, with what. `arguments` are JSON, or what a model took for it."""

    name: Annotated[str, Meta(min_length=1)]
    arguments: str = ""


class CalledCustom(Struct, frozen=True):
    """Of a call of a tool that takes any text."""

    name: Annotated[str, Meta(min_length=1)]
    input: str = ""


class ToolCall(Struct, frozen=True):
    """A call that an assistant made; of `function` and `custom` the one that `type` names."""

    id: str = ""
    type: Literal["function", "custom"] = "function"
    function: CalledFunction | None = None
    custom: CalledCustom | None = None


class Message(Struct, frozen=True):
    """One turn of a conversation.

    Attributes:
        role: who speaks; `function` is what `tool` was called before.
        content: a text, or parts of one.
        name: of the speaker, or of the function whose result this is.
        tool_calls: of an assistant.
        tool_call_id: whose result this is.
        function_call: what `tool_calls` was called before.
        refusal: what an assistant said instead of a content.
        reasoning_content: what an assistant thought before it spoke or called.
        prefix: the answer goes on behind this last message of the assistant's.

    """

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    function_call: CalledFunction | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    prefix: bool | None = None


Tool: TypeAlias = dict[str, Any]
"""A function that may be called, in the form of OpenAI and of templates: `{"type": "function", "function": {"name": …,
"description": …, "parameters": …}}`.
"""


class TurnFunction(TypedDict):
    """Which function, with what: a JSON object, or a text that is none."""

    name: str
    arguments: dict[str, object] | str


class TurnCall(TypedDict):
    """A call, in the form that templates know."""

    id: str
    type: Literal["function"]
    function: TurnFunction


class Turn(TypedDict):
    """A message in the form that templates know.

    `role` is system, user, assistant or tool. `tool_calls` is not there rather than empty: templates ask for that.
    `reasoning_content` is an assistant's; templates print it where their model was trained to see its thoughts again,
    mostly between calls of tools, and leave it out elsewhere.
    `prefix` is on the last turn only, if the answer is to go on behind it; no template sees it.
    """

    role: str
    content: str
    name: NotRequired[str]
    tool_calls: NotRequired[list[TurnCall]]
    tool_call_id: NotRequired[str]
    reasoning_content: NotRequired[str]
    prefix: NotRequired[Literal[True]]


_ROLES: Final = {"developer": "system", "function": "tool"}

_TEXT_FIELDS: Final = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
"""The types of parts that are text, and the field that has it. The Responses API calls them otherwise."""


def plain_messages(messages: list[Message], *, continues: bool = False) -> list[Turn]:
    """The turns of a conversation.

    Args:
        messages: as the client sent them.
        continues: the answer goes on behind the last message, which is an assistant's.

    Raises:
        RequestError: a part is not text, a call is empty, or the answer is to go on behind what is no answer.

    """
    turns = [_turn(message, f"messages[{index}]") for index, message in enumerate(messages)]
    _pair_calls(turns)
    if any(message.prefix for message in messages[:-1]):
        raise RequestError("only the last message can be a prefix of the answer", param="messages")
    if continues or (messages and messages[-1].prefix):
        if not messages or turns[-1]["role"] != "assistant" or "tool_calls" in turns[-1]:
            raise RequestError("an answer can only go on behind an assistant's words", param="messages")
        turns[-1]["prefix"] = True
    return turns


def text_of(turn: Turn) -> str:
    """All that a turn says, about as long as a template prints it."""
    calls = turn.get("tool_calls")
    return turn.get("reasoning_content", "") + turn["content"] + (_encode(calls) if calls else "")


def text_of_tools(tools: Sequence[Tool] | None) -> str:
    """What is said of tools, about as long as a template prints it."""
    return _encode(tools) if tools else ""


def _encode(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _turn(message: Message, where: str) -> Turn:
    turn: Turn = {"role": _ROLES.get(message.role, message.role), "content": _text(message, f"{where}.content")}
    if message.name:
        turn["name"] = message.name
    if calls := _calls(message, where):
        turn["tool_calls"] = calls
    if message.tool_call_id:
        turn["tool_call_id"] = message.tool_call_id
    if message.reasoning_content and message.role == "assistant":
        turn["reasoning_content"] = message.reasoning_content
    return turn


def _text(message: Message, where: str) -> str:
    if isinstance(message.content, list):
        return "".join(_part_text(part, f"{where}[{index}]") for index, part in enumerate(message.content))
    return message.content or message.refusal or ""


def _part_text(part: Part, where: str) -> str:
    field = _TEXT_FIELDS.get(part.type)
    if field is None:
        raise RequestError(
            f"the local model takes text only: {where} is of type {part.type!r}", param=where, code="unsupported"
        )
    text = part.text if field == "text" else part.refusal
    if text is None:
        raise RequestError(f"{where} is of type {part.type!r} and must have a field {field!r}", param=where)
    return text


def _calls(message: Message, where: str) -> list[TurnCall]:
    calls = [_call(call, f"{where}.tool_calls[{index}]") for index, call in enumerate(message.tool_calls or [])]
    if message.function_call is not None:
        calls.append(_function_call(message.function_call, ""))
    return calls


def _call(call: ToolCall, where: str) -> TurnCall:
    if call.type == "function" and call.function is not None:
        return _function_call(call.function, call.id)
    if call.type == "custom" and call.custom is not None:
        arguments: dict[str, object] = {"input": call.custom.input}
        return {"id": call.id, "type": "function", "function": {"name": call.custom.name, "arguments": arguments}}
    raise RequestError(f"{where} must have a field {call.type!r}", param=where)


def _function_call(called: CalledFunction, call_id: str) -> TurnCall:
    return {"id": call_id, "type": "function", "function": {"name": called.name, "arguments": _value(called.arguments)}}


def _value(arguments: str) -> dict[str, object] | str:
    """Templates print arguments as JSON themselves; what is no JSON object stays the text that it is."""
    try:
        return msgspec.json.decode(arguments or "{}", type=dict[str, object])
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return arguments


def _pair_calls(turns: list[Turn]) -> None:
    """Give ids to calls that have none, and names to results: the older API had no ids, and the newer has no names."""
    names: dict[str, str] = {}
    open_ids: list[str] = []
    for index, turn in enumerate(turns):
        for number, call in enumerate(turn.get("tool_calls", [])):
            call["id"] = call["id"] or f"call_{index}_{number}"
            names[call["id"]] = call["function"]["name"]
            open_ids.append(call["id"])
        if turn["role"] == "tool":
            _pair(turn, names, open_ids)


def _pair(turn: Turn, names: dict[str, str], open_ids: list[str]) -> None:
    """Tell a result by its id, else by its name, else by the order of the calls."""
    name = turn.get("name")
    fitting = (call_id for call_id in open_ids if name in {None, names[call_id]})
    call_id = turn.get("tool_call_id") or next(fitting, None)
    if call_id is None:
        return
    turn["tool_call_id"] = call_id
    if call_id in names:
        turn.setdefault("name", names[call_id])
        if call_id in open_ids:
            open_ids.remove(call_id)
