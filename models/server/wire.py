"""OpenAI's answers: bodies, stream chunks, errors. Pure: values in, bytes out."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec

from models.engine.event import TokenScore
from models.errors import EngineError, ModelsError, NotReady, Overloaded, RequestError
from models.server.answer import Part, Reasoned, Recast, Said
from models.server.scores import chat_logprobs, spelled, text_logprobs
from models.tools.told import Arguments, CallBegun

DONE: Final = b"data: [DONE]\n\n"

_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Usage:
    """What a request cost. For n choices the prompt counts once; what a client had of the answer counts as answer.

    `reasoning_tokens` are those of the completion that were thoughts.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    def and_completed(self, tokens: int, cached_tokens: int = 0, reasoning_tokens: int = 0) -> "Usage":
        """The same with so many tokens more of the answer, and so many of the prompt that need not be read."""
        cached = min(self.cached_tokens + cached_tokens, self.prompt_tokens)
        thought = self.reasoning_tokens + reasoning_tokens
        return Usage(self.prompt_tokens, self.completion_tokens + tokens, cached, thought)

    def as_json(self) -> dict[str, Any]:
        """OpenAI's usage object."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": self.reasoning_tokens,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }


@dataclass(slots=True)
class Call:
    """A call of a function, as far as it has been told."""

    name: str
    arguments: str = ""


@dataclass(slots=True)
class Choice:
    """One answer, as far as it has been told.

    Attributes:
        text: its words.
        reasoning: what was thought before them.
        calls: by index.
        tokens: those of the words, where likelihoods were asked for.
        finish_reason: "" until it has ended.

    """

    text: str = ""
    reasoning: str = ""
    calls: dict[int, Call] = field(default_factory=dict)
    tokens: list[TokenScore] = field(default_factory=list)
    finish_reason: str = ""

    def add(self, part: Part) -> None:
        """Take what comes next."""
        match part:
            case Said(text, tokens):
                self.text += text
                self.tokens += tokens
            case Reasoned(text):
                self.reasoning += text
            case Recast():
                self.reasoning = ""
            case CallBegun(index, name):
                self.calls[index] = Call(name)
            case Arguments(index, text):
                self.calls.setdefault(index, Call("")).arguments += text


@dataclass(frozen=True, slots=True)
class Head:
    """What all parts of one answer repeat.

    Attributes:
        id: with OpenAI's prefix, chatcmpl- or cmpl-.
        created: Unix time in seconds.
        model: the one that answers.
        with_usage: whether the stream ends with a usage chunk; then all others carry `"usage": null`.

    """

    id: str
    created: int
    model: str
    with_usage: bool


class Form(Protocol):
    """One of the shapes of an answer."""

    def opening(self, index: int) -> bytes:
        """Event that opens choice `index`; empty if the shape has none."""

    def part(self, index: int, part: Part) -> bytes:
        """Event with more of choice `index`."""

    def finish(self, index: int, reason: str) -> bytes:
        """Event that ends choice `index`."""

    def usage(self, usage: Usage) -> bytes:
        """Event with the cost of all choices."""

    def body(self, choices: Mapping[int, Choice], usage: Usage) -> bytes:
        """The whole answer, unstreamed."""


class ChatForm:
    """The shape of /v1/chat/completions.

    Args:
        head: what all parts repeat.
        new_id: names a call.
        has_logprobs: likelihoods were asked for.
        is_legacy: a call is a `function_call`.

    """

    def __init__(
        self, head: Head, new_id: Callable[[], str], *, has_logprobs: bool = False, is_legacy: bool = False
    ) -> None:
        self._head = head
        self._has_logprobs = has_logprobs
        self._is_legacy = is_legacy
        self._new_id = new_id

    def opening(self, index: int) -> bytes:
        """Event that names the role."""
        return self._chunk(index, {"role": "assistant", "content": ""}, None)

    def part(self, index: int, part: Part) -> bytes:
        """Event with more of choice `index`."""
        match part:
            case Reasoned(text):
                return self._chunk(index, {"reasoning_content": text}, None)
            case Recast():
                return b""
            case Said(text, tokens):
                return self._chunk(index, {"content": text}, None, chat_logprobs(tokens) if tokens else None)
            case CallBegun(call, name):
                return self._chunk(index, self._called(call, {"name": name, "arguments": ""}, self._new_id()), None)
            case Arguments(call, text):
                return self._chunk(index, self._called(call, {"arguments": text}), None)

    def finish(self, index: int, reason: str) -> bytes:
        """Event that ends choice `index`."""
        return self._chunk(index, {}, reason)

    def usage(self, usage: Usage) -> bytes:
        """Event with the cost of all choices."""
        return _event(_object(self._head, "chat.completion.chunk", []) | {"usage": usage.as_json()})

    def body(self, choices: Mapping[int, Choice], usage: Usage) -> bytes:
        """The whole answer, unstreamed."""
        rows = [
            {
                "index": index,
                "message": self._message(choice),
                "logprobs": chat_logprobs(choice.tokens) if self._has_logprobs else None,
                "finish_reason": choice.finish_reason,
            }
            for index, choice in choices.items()
        ]
        return _encode(_object(self._head, "chat.completion", rows) | {"usage": usage.as_json()})

    def _message(self, choice: Choice) -> dict[str, Any]:
        content = None if choice.calls and not choice.text else choice.text
        message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
        message |= {"reasoning_content": choice.reasoning} if choice.reasoning else {}
        calls = [{"name": call.name, "arguments": call.arguments} for _, call in sorted(choice.calls.items())]
        if calls and self._is_legacy:
            return message | {"function_call": calls[0]}
        if calls:
            rows = [{"id": self._new_id(), "type": "function", "function": call} for call in calls]
            return message | {"tool_calls": rows}
        return message

    def _called(self, call: int, function: dict[str, str], named: str | None = None) -> dict[str, Any]:
        if self._is_legacy:
            return {"function_call": function}
        identity = {"id": named, "type": "function"} if named else {}
        return {"tool_calls": [{"index": call, **identity, "function": function}]}

    def _chunk(
        self, index: int, delta: dict[str, Any], reason: str | None, logprobs: dict[str, Any] | None = None
    ) -> bytes:
        row = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        return _event(_streamed(self._head, "chat.completion.chunk", row))


class CompletionForm:
    """The shape of /v1/completions.

    Args:
        head: what all parts repeat.
        has_logprobs: likelihoods were asked for.

    """

    def __init__(self, head: Head, *, has_logprobs: bool = False) -> None:
        self._head = head
        self._has_logprobs = has_logprobs
        self._told: defaultdict[int, int] = defaultdict(int)
        """Characters of each choice that have been told."""

    def opening(self, index: int) -> bytes:  # noqa: ARG002 - a shape without one
        """Nothing: text completions have no role."""
        return b""

    def part(self, index: int, part: Part) -> bytes:
        """Event with more of choice `index`; there are no calls here."""
        if not isinstance(part, Said):
            return b""
        logprobs = text_logprobs(part.tokens, self._told[index]) if part.tokens else None
        self._told[index] += sum(len(spelled(token.piece)) for token in part.tokens)
        return _event(_streamed(self._head, "text_completion", _text_choice(index, part.text, None, logprobs)))

    def finish(self, index: int, reason: str) -> bytes:
        """Event that ends choice `index`."""
        return _event(_streamed(self._head, "text_completion", _text_choice(index, "", reason)))

    def usage(self, usage: Usage) -> bytes:
        """Event with the cost of all choices."""
        return _event(_object(self._head, "text_completion", []) | {"usage": usage.as_json()})

    def body(self, choices: Mapping[int, Choice], usage: Usage) -> bytes:
        """The whole answer, unstreamed."""
        rows = [
            _text_choice(
                index,
                choice.text,
                choice.finish_reason,
                text_logprobs(choice.tokens) if self._has_logprobs else None,
            )
            for index, choice in choices.items()
        ]
        return _encode(_object(self._head, "text_completion", rows) | {"usage": usage.as_json()})


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error as it goes out."""

    status: int
    body: bytes
    retry_after_seconds: int | None


def refusal(error: ModelsError) -> Refusal:
    """The HTTP face of an error of ours."""
    match error:
        case NotReady():
            return Refusal(error.status, _encode(_envelope(error)), error.retry_after_seconds)
        case RequestError():
            return Refusal(error.status, _encode(_envelope(error)), None)
        case Overloaded():
            return Refusal(503, _encode(_envelope(error)), error.retry_after_seconds)
        case _:
            return Refusal(500, _encode(_envelope(error)), None)


def error_event(error: EngineError) -> bytes:
    """What a stream says that cannot be finished; SDKs raise on it. No [DONE] follows."""
    return _event(_envelope(error))


def model_object(model: str, created: int) -> dict[str, Any]:
    """One row of /v1/models."""
    return {"id": model, "object": "model", "created": created, "owned_by": "hotspare"}


def encode(value: object) -> bytes:
    """Any JSON value."""
    return _encode(value)


def _envelope(error: ModelsError) -> dict[str, dict[str, str | None]]:
    kind, param = (error.kind, error.param) if isinstance(error, RequestError) else ("server_error", None)
    return {"error": {"message": str(error), "type": kind, "param": param, "code": _code(error)}}


def _code(error: ModelsError) -> str | None:
    if isinstance(error, RequestError):
        return error.code
    return "overloaded" if isinstance(error, Overloaded) else "engine_error"


def _object(head: Head, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": head.id, "object": kind, "created": head.created, "model": head.model, "choices": choices}


def _streamed(head: Head, kind: str, choice: dict[str, Any]) -> dict[str, Any]:
    return _object(head, kind, [choice]) | ({"usage": None} if head.with_usage else {})


def _text_choice(index: int, text: str, reason: str | None, logprobs: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": logprobs, "finish_reason": reason}


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + _encode(value) + b"\n\n"
