"""The bodies that OpenAI's API answers with, made from the request and a few words: pure and the same every time."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

JsonObject = dict[str, Any]

CREATED = 1_700_000_000
DONE = b"data: [DONE]\n\n"
CHAT_PATH = "/v1/chat/completions"
COMPLETIONS_PATH = "/v1/completions"
EMBEDDINGS_PATH = "/v1/embeddings"
MODELS_PATH = "/v1/models"
MODELS = ("gpt-4o", "gpt-4o-mini", "text-embedding-3-small")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that the model calls; `arguments` are the pieces of JSON text in which a stream delivers them."""

    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer to a chat or legacy completion request, streamed or whole.

    `words` are the pieces of text in which a stream delivers the content, already cut to the request's limit.
    """

    number: int
    fields: JsonObject
    is_chat: bool
    words: tuple[str, ...]
    finish_reason: str
    tool_call: ToolCall | None = None

    @property
    def choices(self) -> int:
        """How many answers the client asked for."""
        return int(self.fields.get("n") or 1)

    @property
    def usage(self) -> JsonObject:
        """A token is a word here."""
        prompt = len(_prompt(self.fields).split())
        completion = len(self.pieces) * self.choices
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}

    @property
    def pieces(self) -> tuple[str, ...]:
        """What the stream delivers piece by piece: text, or the arguments of the tool call."""
        return self.tool_call.arguments if self.tool_call else self.words

    def whole(self, finish_reason: str | None, words: Sequence[str] | None = None) -> JsonObject:
        """The unstreamed answer; `words` instead of its own when it is to be incomplete."""
        text = "".join(self.pieces if words is None else words)
        choice = {"index": 0, "finish_reason": finish_reason, "logprobs": None, **self._content(text)}
        choices = [{**choice, "index": index} for index in range(self.choices)]
        return {**self._envelope("chat.completion"), "choices": choices, "usage": self.usage}

    def opening(self) -> list[bytes]:
        """The role events of a chat stream; a legacy stream has none."""
        if not self.is_chat:
            return []
        delta: JsonObject = {"role": "assistant", "content": "", "refusal": None}
        if self.tool_call:
            function = {"name": self.tool_call.name, "arguments": ""}
            delta["content"] = None
            delta["tool_calls"] = [{"index": 0, "id": self._call_id, "type": "function", "function": function}]
        return [self._chunk(index, {"delta": delta}, None) for index in range(self.choices)]

    def piece(self, text: str) -> list[bytes]:
        """The events that deliver one piece, one for each choice."""
        return [self._chunk(index, self._delta(text), None) for index in range(self.choices)]

    def closing(self) -> list[bytes]:
        """The events with the finish_reason and, if the client asked for it, the usage; not `[DONE]`."""
        empty: JsonObject = {"delta": {}} if self.is_chat else {"text": ""}
        events = [self._chunk(index, empty, self.finish_reason) for index in range(self.choices)]
        if self._wants_usage:
            events.append(sse({**self._envelope("chat.completion.chunk"), "choices": [], "usage": self.usage}))
        return events

    @property
    def _call_id(self) -> str:
        return f"call_fake_{self.number}"

    @property
    def _wants_usage(self) -> bool:
        return bool((self.fields.get("stream_options") or {}).get("include_usage"))

    def _envelope(self, kind: str) -> JsonObject:
        identity = f"chatcmpl-fake-{self.number}" if self.is_chat else f"cmpl-fake-{self.number}"
        model = self.fields.get("model", "gpt-4o")
        return {
            "id": identity,
            "object": kind if self.is_chat else "text_completion",
            "created": CREATED,
            "model": model,
            "system_fingerprint": "fp_fake",
        }

    def _content(self, text: str) -> JsonObject:
        if not self.is_chat:
            return {"text": text}
        if self.tool_call is None:
            return {"message": {"role": "assistant", "content": text, "refusal": None}}
        function = {"name": self.tool_call.name, "arguments": text}
        call = {"id": self._call_id, "type": "function", "function": function}
        return {"message": {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}}

    def _delta(self, text: str) -> JsonObject:
        if not self.is_chat:
            return {"text": text}
        if self.tool_call:
            return {"delta": {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}}
        return {"delta": {"content": text}}

    def _chunk(self, index: int, content: JsonObject, finish_reason: str | None) -> bytes:
        choice = {"index": index, **content, "logprobs": None, "finish_reason": finish_reason}
        usage: JsonObject = {"usage": None} if self._wants_usage else {}
        return sse({**self._envelope("chat.completion.chunk"), "choices": [choice], **usage})


def completion(
    number: int, path: str, fields: JsonObject, words: Sequence[str], tool_call: ToolCall | None
) -> Completion:
    """The answer to a completion request, cut to its limit of tokens; a tool call comes only if tools were offered."""
    if tool_call and fields.get("tools"):
        return Completion(number, fields, path == CHAT_PATH, (), "tool_calls", tool_call)
    limit = fields.get("max_completion_tokens") or fields.get("max_tokens") or len(words)
    reason = "length" if limit < len(words) else "stop"
    return Completion(number, fields, path == CHAT_PATH, tuple(words[:limit]), reason)


def embeddings(fields: JsonObject, dimensions: int) -> JsonObject:
    """A vector for each input; its elements tell the input's length and place apart."""
    given = fields.get("input", "")
    inputs = given if isinstance(given, list) else [given]
    vectors = [
        {
            "object": "embedding",
            "index": index,
            "embedding": [len(str(item)) / 100, index / 100] + [0.5] * (dimensions - 2),
        }
        for index, item in enumerate(inputs)
    ]
    tokens = sum(len(str(item).split()) for item in inputs)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": vectors, "model": fields.get("model"), "usage": usage}


def models() -> JsonObject:
    """What `GET /v1/models` says."""
    cards = [{"id": name, "object": "model", "created": CREATED, "owned_by": "fake"} for name in MODELS]
    return {"object": "list", "data": cards}


def error(message: str, kind: str, code: str | int | None = None) -> JsonObject:
    """OpenAI's error object."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def encode(value: JsonObject) -> bytes:
    """JSON as the API sends it: compact, in UTF-8, not escaped to ASCII."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def sse(value: JsonObject) -> bytes:
    """One server-sent event."""
    return b"data: %b\n\n" % encode(value)


def _prompt(fields: JsonObject) -> str:
    if "messages" in fields:
        return " ".join(str(message.get("content")) for message in fields["messages"])
    return str(fields.get("prompt", ""))
