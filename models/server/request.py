"""OpenAI's request bodies, decoded and validated. Pure: bytes in, typed values out, `RequestError` for the rest.

Unknown fields are ignored, as OpenAI's clients expect of each other's extensions. Fields that would change what the
answer means and cannot be kept are refused instead.
"""

import re
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct

from models.engine.params import MOST_ALTERNATIVES
from models.errors import RequestError
from models.server.messages import CalledFunction, Message
from models.server.offer import (
    MOST_TOOLS,
    Choice,
    Function,
    Mode,
    Named,
    Offer,
    Tool,
    offer_of_functions,
    offer_of_tools,
)
from models.tools.demand import Delivered
from models.tools.format import Spoken

MAX_CHOICES: Final = 128
_COMPLETION_DEFAULT_TOKENS: Final = 16  # OpenAI's own default for this endpoint

_Penalty: TypeAlias = Annotated[float, Meta(ge=-2.0, le=2.0)]
_Share: TypeAlias = Annotated[float, Meta(ge=0.0, le=1.0)]
_Count: TypeAlias = Annotated[int, Meta(ge=1)]
_Alternatives: TypeAlias = Annotated[int, Meta(ge=0, le=MOST_ALTERNATIVES)]


class StreamOptions(Struct, frozen=True):
    """How a stream is told."""

    include_usage: bool = False


class SamplingFields(Struct, frozen=True, kw_only=True):
    """What chat and text completions share."""

    model: str
    max_tokens: _Count | None = None
    temperature: Annotated[float, Meta(ge=0.0, le=2.0)] | None = None
    top_p: _Share | None = None
    top_k: Annotated[int, Meta(ge=-1, le=2**31 - 1)] | None = None
    min_p: _Share | None = None
    frequency_penalty: _Penalty | None = None
    presence_penalty: _Penalty | None = None
    repeat_penalty: Annotated[float, Meta(gt=0.0, le=10.0)] | None = None
    logit_bias: dict[str, Annotated[float, Meta(ge=-100.0, le=100.0)]] | None = None
    stop: str | Annotated[list[str], Meta(max_length=4)] | None = None
    seed: int | None = None
    n: Annotated[int, Meta(ge=1, le=8)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    ignore_eos: bool | None = None
    grammar: str | None = None
    delivered_text: str | list[str | None] | None = None
    """Of this answer, what the client has already: the answer goes on exactly behind it. Of `n` answers a list; null
    for those that are complete, of which nothing more is said.
    """

    @property
    def choices(self) -> int:
        """How many answers to each prompt."""
        return self.n or 1

    @property
    def delivered(self) -> list[str | None]:
        """For each answer what there is of it; None for those that are complete."""
        given = self.delivered_text
        return given if isinstance(given, list) else [given or ""] * self.choices

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts that end the answer; an empty one would end it at once, and counts for none."""
        return tuple(filter(None, [self.stop] if isinstance(self.stop, str) else self.stop or ()))

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with a usage chunk."""
        return self.stream_options is not None and self.stream_options.include_usage


class JsonSchema(Struct, frozen=True):
    """A schema that the answer follows."""

    name: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class ResponseFormat(Struct, frozen=True):
    """The form that the answer must take."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class DeliveredCall(Struct, frozen=True):
    """A call that the client has, or the beginning of one."""

    function: CalledFunction


class ChatBody(SamplingFields, frozen=True, kw_only=True):
    """The body of POST /v1/chat/completions."""

    messages: Annotated[list[Message], Meta(min_length=1)]
    max_completion_tokens: _Count | None = None
    response_format: ResponseFormat | None = None
    tools: Annotated[list[Tool], Meta(max_length=MOST_TOOLS)] | None = None
    tool_choice: Mode | Choice | None = None
    parallel_tool_calls: bool | None = None
    functions: Annotated[list[Function], Meta(max_length=MOST_TOOLS)] | None = None
    function_call: Literal["none", "auto"] | Named | None = None
    continue_final_message: bool | None = None
    add_generation_prompt: bool | None = None
    logprobs: bool | None = None
    top_logprobs: _Alternatives | None = None
    delivered_tool_calls: list[DeliveredCall | list[DeliveredCall] | None] | None = None
    """Of this answer, the calls that the client has, the last one perhaps in part: it goes on behind them. Of `n`
    answers a list of such lists; null for those that are complete.
    """

    @property
    def alternatives(self) -> int | None:
        """How many likely tokens to tell beside each that is drawn; None tells nothing of either."""
        return (self.top_logprobs or 0) if self.logprobs else None

    @property
    def answers(self) -> list[Delivered | None]:
        """For each answer what the client has of it; None for those that are complete."""
        rows = self._delivered_calls
        texts = self.delivered if self.delivered_text is not None or not any(rows) else [None] * self.choices
        return [_delivered(text, row) for text, row in zip(texts, rows, strict=True)]

    @property
    def _delivered_calls(self) -> list[list[DeliveredCall] | None]:
        """For each answer the calls that the client has; None where it has none. Raises RequestError."""
        given = self.delivered_tool_calls or []
        flat = [item for item in given if isinstance(item, DeliveredCall)]
        rows = [item for item in given if not isinstance(item, DeliveredCall)] or [flat or None] * self.choices
        if len(rows) != self.choices or (flat and (self.choices > 1 or len(flat) != len(given))):
            raise RequestError("several answers want a list for each, or null", param="delivered_tool_calls")
        return rows

    @property
    def has_prefix(self) -> bool:
        """Whether the answer goes on behind the last message, in whichever way that is said."""
        return self.continues or bool(self.messages[-1].prefix)

    @property
    def continues(self) -> bool:
        """Whether the answer goes on behind the last message, as vLLM and llama-server let clients say."""
        return bool(self.continue_final_message) or self.add_generation_prompt is False

    @property
    def offer(self) -> Offer | None:
        """What the model may do with tools; None if it has none to call. Raises RequestError."""
        if self.functions and not self.tools:
            return offer_of_functions(self.functions, self.function_call)
        return offer_of_tools(self.tools or (), self.tool_choice, is_parallel=self.parallel_tool_calls is not False)

    @property
    def stops(self) -> tuple[str, ...]:
        """None where a call is demanded: cut by one, its arguments would be no JSON."""
        offer = self.offer
        return () if offer and offer.is_forced and not self.grammar else super().stops

    @property
    def wanted_tokens(self) -> int | None:
        """The client's own limit; None for as many as fit."""
        return self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens


class BeginningBody(ChatBody, frozen=True, kw_only=True):
    """The body of POST /v1/prime: what conversations begin with, which may be tools alone."""

    messages: list[Message]


class CompletionBody(SamplingFields, frozen=True, kw_only=True):
    """The body of POST /v1/completions."""

    prompt: str | list[str | int | list[int]] | None = None
    suffix: str | None = None
    echo: bool | None = None
    logprobs: _Alternatives | None = None

    @property
    def alternatives(self) -> int | None:
        """How many likely tokens to tell beside each that is drawn; None tells nothing of either."""
        return self.logprobs

    @property
    def wanted_tokens(self) -> int | None:
        """The client's own limit, else OpenAI's default."""
        return _COMPLETION_DEFAULT_TOKENS if self.max_tokens is None else self.max_tokens


_BodyT = TypeVar("_BodyT", ChatBody, CompletionBody)
_StructT = TypeVar("_StructT", bound=Struct)


def decode_chat(body: bytes) -> ChatBody:
    """Decode and validate; RequestError names the field at fault."""
    chat = _matched(decode(body, ChatBody))
    if chat.top_logprobs is not None and not chat.logprobs:
        raise RequestError("goes with logprobs: true", param="top_logprobs")
    if chat.grammar and ((chat.response_format and chat.response_format.type != "text") or chat.offer):
        raise RequestError("goes with neither response_format nor tools", param="grammar")
    _check_answers(chat)
    return chat


def decode_completion(body: bytes) -> CompletionBody:
    """Decode and validate; RequestError names the field at fault."""
    completion = _matched(decode(body, CompletionBody))
    if not any(text is not None for text in completion.delivered):
        raise RequestError("at least one answer has to be open", param="delivered_text")
    if isinstance(completion.delivered_text, list) and len(prompts(completion)) > 1:
        raise RequestError("a list goes with one prompt", param="delivered_text")
    if completion.suffix:
        raise _unsupported("a suffix", "suffix")
    if completion.echo:
        raise _unsupported("echo", "echo")
    return completion


def _matched(body: _BodyT) -> _BodyT:
    """There is a text for each answer."""
    given = body.delivered_text
    if isinstance(given, str) and given and body.choices > 1:
        raise RequestError("several answers want a list: a text for each, or null", param="delivered_text")
    if isinstance(given, list) and len(given) != body.choices:
        raise RequestError("the list wants n items: a text for each answer, or null", param="delivered_text")
    return body


def _check_answers(chat: ChatBody) -> None:
    """There is an answer to go on with, and all that was called can be called."""
    answers, offer = [answer for answer in chat.answers if answer], chat.offer
    if not answers:
        raise RequestError("at least one answer has to be open", param="delivered_text")
    names = {call.name for answer in answers for call in answer.calls}
    if not names <= (offer.functions.keys() if offer else set()):
        raise RequestError("calls a function that is not offered", param="delivered_tool_calls")


def _delivered(text: str | None, calls: list[DeliveredCall] | None) -> Delivered | None:
    if text is None and calls is None:
        return None
    return Delivered(text or "", [Spoken(call.function.name, call.function.arguments) for call in calls or ()])


def prompts(completion: CompletionBody) -> list[str | list[int]]:
    """The prompts of a text completion: texts or lists of token ids.

    Raises:
        RequestError: neither a text, nor texts, nor token ids, nor lists of token ids; or too many.

    """
    prompt = completion.prompt
    if prompt is None or isinstance(prompt, str):
        return [prompt or ""]
    if prompt and all(isinstance(item, int) for item in prompt):
        return [[item for item in prompt if isinstance(item, int)]]
    several = [item for item in prompt if not isinstance(item, int)]
    if not prompt or len({type(item) for item in prompt}) != 1:
        raise RequestError("prompt must be a text, texts, token ids, or lists of token ids", param="prompt")
    if len(several) * completion.choices > MAX_CHOICES:
        raise RequestError(f"at most {MAX_CHOICES} choices may be asked for at once", param="prompt")
    return several


def decode(body: bytes, kind: type[_StructT]) -> _StructT:
    """Decode and validate any body; RequestError names the field at fault."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `")
        param = _param(message, path)
        raise RequestError(f"Invalid '{param}': {message}" if param else message, param=param) from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise RequestError(f"We could not parse the JSON body of your request: {error}") from error


def _param(message: str, path: str) -> str | None:
    """The field at fault, from msgspec's "… - at `$.a[0].b`" (it gives the path in no other way)."""
    where = path.removesuffix("`").removeprefix("$").removeprefix(".")
    missing = re.search(r"required field `(\w+)`", message)
    return ".".join(filter(None, (where, missing[1] if missing else ""))) or None


def _unsupported(what: str, param: str) -> RequestError:
    return RequestError(f"{what} is not supported by the local model yet", param=param, code="unsupported")
