"""OpenAI's answers: bodies, stream chunks, errors. Pure: values in, bytes out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from models.errors import EngineError, ModelsError, NotReady, Overloaded, RequestError

DONE: Final = b"data: [DONE]\n\n"

_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Usage:
    """What a request cost. For n choices the prompt counts once; what a client had of the answer counts as answer."""

    prompt_tokens: int
    completion_tokens: int

    def and_completed(self, tokens: int) -> "Usage":
        """The same with so many tokens more of the answer."""
        return Usage(self.prompt_tokens, self.completion_tokens + tokens)

    def as_json(self) -> dict[str, int]:
        """OpenAI's usage object."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }


@dataclass(frozen=True, slots=True)
class Choice:
    """One finished answer."""

    text: str
    finish_reason: str


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
    """One of the two shapes of an answer."""

    def opening(self, index: int) -> bytes:
        """Event that opens choice `index`; empty if the shape has none."""

    def piece(self, index: int, text: str) -> bytes:
        """Event with more text of choice `index`."""

    def finish(self, index: int, reason: str) -> bytes:
        """Event that ends choice `index`."""

    def usage(self, usage: Usage) -> bytes:
        """Event with the cost of all choices."""

    def body(self, choices: Mapping[int, Choice], usage: Usage) -> bytes:
        """The whole answer, unstreamed."""


class ChatForm:
    """The shape of /v1/chat/completions."""

    def __init__(self, head: Head) -> None:
        self._head = head

    def opening(self, index: int) -> bytes:
        """Event that names the role."""
        return self._chunk(index, {"role": "assistant", "content": ""}, None)

    def piece(self, index: int, text: str) -> bytes:
        """Event with more text of choice `index`."""
        return self._chunk(index, {"content": text}, None)

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
                "message": {"role": "assistant", "content": choice.text, "refusal": None},
                "logprobs": None,
                "finish_reason": choice.finish_reason,
            }
            for index, choice in choices.items()
        ]
        return _encode(_object(self._head, "chat.completion", rows) | {"usage": usage.as_json()})

    def _chunk(self, index: int, delta: dict[str, str], reason: str | None) -> bytes:
        row = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
        return _event(_streamed(self._head, "chat.completion.chunk", row))


class CompletionForm:
    """The shape of /v1/completions."""

    def __init__(self, head: Head) -> None:
        self._head = head

    def opening(self, index: int) -> bytes:  # noqa: ARG002 - a shape without one
        """Nothing: text completions have no role."""
        return b""

    def piece(self, index: int, text: str) -> bytes:
        """Event with more text of choice `index`."""
        return _event(_streamed(self._head, "text_completion", _text_choice(index, text, None)))

    def finish(self, index: int, reason: str) -> bytes:
        """Event that ends choice `index`."""
        return _event(_streamed(self._head, "text_completion", _text_choice(index, "", reason)))

    def usage(self, usage: Usage) -> bytes:
        """Event with the cost of all choices."""
        return _event(_object(self._head, "text_completion", []) | {"usage": usage.as_json()})

    def body(self, choices: Mapping[int, Choice], usage: Usage) -> bytes:
        """The whole answer, unstreamed."""
        rows = [_text_choice(index, choice.text, choice.finish_reason) for index, choice in choices.items()]
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


def _text_choice(index: int, text: str, reason: str | None) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": reason}


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + _encode(value) + b"\n\n"
