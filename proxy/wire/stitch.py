"""One legal stream out of two: what a broken stream has delivered, and what another upstream adds to it.

One id, one `created`, one role and one finish_reason for each choice, no byte twice and none lost. Only `model` tells
the truth: it names who wrote the chunk. Nothing here runs while a stream is well.

Shapes are those of chat.completion.chunk and text_completion (OpenAI API reference, "Streaming").
"""

from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

from proxy.wire import sse
from proxy.wire.completion import DONE
from proxy.wire.delivered import Delivered, Unstitchable
from proxy.wire.refusal import refused
from proxy.wire.tool_calls import ToolCalls

_Fields = dict[str, Any]


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct):
    index: int
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _Function | None = None


class _Row(msgspec.Struct):
    index: int = 0
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    """What has to be so for an event to be read; the rest is passed on as it is."""

    choices: list[_Row] | None = None


_check = msgspec.json.Decoder(_Chunk).decode
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode

_FROM_ORIGIN = ("id", "created", "system_fingerprint", "service_tier")
"""What all chunks of one answer have in common."""

_Kind = Literal["tool_calls", "function_call"]
_KINDS: Final[tuple[_Kind, ...]] = ("tool_calls", "function_call")
"""How calls are told: by index, or, as OpenAI did it before, the only one there is."""

_EARLY_ENDS = ("length", "content_filter")
"""Where these are the reason, half a tool call is what a client has to expect."""


class Stitch:
    """Owner of what the client has. Whenever a stream breaks, `hand_over` to whoever goes on, and `take` its blocks.

    Args:
        delivered: every event that the client was shown, as it came.
        choices: how many answers the request asked for.

    Raises:
        Unstitchable: no answer is open, or nobody can go on behind one that is.

    """

    def __init__(self, delivered: bytes, choices: int) -> None:
        self._origin: _Fields = {}
        self._choices = {index: _Choice() for index in range(choices)}
        for chunk in _chunks(delivered):
            self._origin = self._origin or {name: chunk[name] for name in _FROM_ORIGIN if name in chunk}
            for row in chunk.get("choices") or ():
                self._choices.setdefault(row.get("index", 0), _Choice()).add(row)
        if not self.is_open:
            raise Unstitchable("nothing is open that can be gone on with")

    @property
    def is_open(self) -> bool:
        """Whether there is still something to go on behind."""
        still_open = self._still_open
        return bool(still_open) and all(choice.is_plain and choice.calls.are_named for choice in still_open)

    def hand_over(self) -> list[Delivered | None]:
        """Of each answer what the client has, for whoever goes on from now; None for those that are complete."""
        for choice in self._still_open:
            choice.calls.hand_over()
        return [None if choice.is_finished else choice.delivered for _, choice in sorted(self._choices.items())]

    def take(self, block: bytes) -> Iterator[bytes]:
        """Whole events of the continuation, each as the client is to see it: what is given counts as delivered.

        Raises Unstitchable where one does not fit; what it gave until then does.
        """
        for data in sse.payloads(block):
            if data == DONE:
                for choice in self._still_open:
                    choice.calls.close()
                yield sse.event(data)
            else:
                yield from self._stitched(_read(data))

    @property
    def _still_open(self) -> "list[_Choice]":
        return [choice for choice in self._choices.values() if not choice.is_finished]

    def _stitched(self, chunk: _Fields) -> Iterator[bytes]:
        """An event for each piece of news: one that does not fit must not take others with it."""
        news = [part for row in chunk.get("choices") or () for part in _parts(row)]
        early = {name: value for name, value in chunk.items() if name != "usage"}
        for part in news[:-1]:
            if row := self._joined(part):
                yield self._event(early, [row])
        rows = [row for part in news[-1:] if (row := self._joined(part))]
        if rows or chunk.get("usage"):
            yield self._event(chunk, rows)

    def _event(self, chunk: _Fields, rows: list[_Fields]) -> bytes:
        return sse.event(_encode(chunk | self._origin | {"choices": rows}))

    def _joined(self, row: _Fields) -> _Fields | None:
        """A choice of the continuation as one of the whole; None where it says nothing new."""
        index = self._index_of(row)
        joined = self._choices[index].joined(row)
        return joined and joined | {"index": index}

    def _index_of(self, row: _Fields) -> int:
        """Whoever goes on with one of several answers may not know that there are others."""
        index = row.get("index", 0)
        if index in self._choices and not self._choices[index].is_finished:
            return int(index)
        return next((index for index, choice in self._choices.items() if not choice.is_finished), 0)


class _Choice:
    """What is known of one answer."""

    __slots__ = ("calls", "has_role", "is_finished", "kind", "refusals", "texts")

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.refusals: list[str] = []
        self.calls = ToolCalls()
        self.kind: _Kind | None = None
        """Of the calls, once there is one."""
        self.has_role = False
        self.is_finished = False

    @property
    def is_refusal(self) -> bool:
        return bool(self.refusals) and not self.texts and self.kind is None

    @property
    def is_plain(self) -> bool:
        """Whether it is text and tool calls, or a refusal: no message of an assistant's is both."""
        return self.is_refusal or not self.refusals

    @property
    def delivered(self) -> Delivered:
        return Delivered("".join(self.texts or self.refusals), self.calls.delivered, self.is_refusal)

    def add(self, row: _Fields) -> None:
        """What the client was shown. Raises Unstitchable."""
        delta = row.get("delta") or {}
        for entry in self._entries(delta):
            self.calls.add(entry)
        self._note(row, delta)

    def joined(self, row: _Fields) -> _Fields | None:
        """One piece of news of whoever goes on. Raises Unstitchable, and nothing is kept of it."""
        delta = dict(row.get("delta") or {})
        if self.is_refusal:
            row, delta = refused(row, delta)
        if self.has_role:
            delta.pop("role", None)
        is_end = row.get("finish_reason") not in (None, "", *_EARLY_ENDS)
        if is_end or _text(row, delta):
            self.calls.close()
        told = [told for entry in self._entries(delta) if (told := self.calls.joined(entry))]
        kind = _called(delta)[0]
        delta = {name: value for name, value in delta.items() if name not in _KINDS} | _said(kind, told)
        self._note(row, delta)
        if "delta" not in row:
            return row
        return row | {"delta": delta} if row.get("finish_reason") or any(delta.values()) else None

    def _entries(self, delta: _Fields) -> list[_Fields]:
        """What a delta says of calls. Raises Unstitchable if they are of another kind than those before."""
        kind, entries = _called(delta)
        if self.kind and kind and kind != self.kind:
            raise Unstitchable("tools are called in two ways")
        return entries

    def _note(self, row: _Fields, delta: _Fields) -> None:
        self.kind = self.kind or _called(delta)[0]
        if text := _text(row, delta):
            self.texts.append(text)
        if refusal := delta.get("refusal"):
            self.refusals.append(refusal)
        self.has_role = self.has_role or bool(delta.get("role"))
        self.is_finished = self.is_finished or bool(row.get("finish_reason"))


def _called(delta: _Fields) -> tuple[_Kind | None, list[_Fields]]:
    """How a delta tells calls, and what of them, as entries of `tool_calls`. Raises Unstitchable for both at once."""
    only, entries = delta.get("function_call"), delta.get("tool_calls") or []
    if only and entries:
        raise Unstitchable("tools are called in two ways")
    if only:
        return "function_call", [{"index": 0, "function": only}]
    return "tool_calls" if entries else None, entries


def _said(kind: _Kind | None, entries: list[_Fields]) -> _Fields:
    """The same the other way round."""
    if not entries or kind is None:
        return {}
    return {kind: entries[0]["function"] if kind == "function_call" else entries}


def _text(row: _Fields, delta: _Fields) -> str:
    text = delta.get("content") or row.get("text")
    return text if isinstance(text, str) else ""


def _parts(row: _Fields) -> Iterator[_Fields]:
    """A choice cut into pieces of news of which each can be refused alone: one call, or the end."""
    delta = row.get("delta") or {}
    called: list[_Fields] = [{"tool_calls": [entry]} for entry in delta.get("tool_calls") or ()]
    called += [{}] if delta.get("function_call") else []
    if len(called) < 2 and not (called and row.get("finish_reason")):
        yield row
        return
    for entry in called:
        yield row | {"delta": delta | entry, "finish_reason": None}
        row, delta = row | {"logprobs": None}, {}
    if row.get("finish_reason"):
        yield row | {"delta": {}}


def _chunks(delivered: bytes) -> Iterator[_Fields]:
    return (_read(data) for data in sse.payloads(delivered) if data != DONE)


def _read(data: bytes) -> _Fields:
    try:
        _check(data)
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unstitchable("an event is no chunk of a completion") from None
