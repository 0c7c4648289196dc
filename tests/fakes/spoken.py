"""Answers that are written out beforehand, and streamed piece by piece: text, tool calls, or text and then calls.

A request that carries `delivered_text` and `delivered_tool_calls` gets the rest of them, as hotspare's model server
would give it (docs/local-model.md). What is begun has to be a beginning of what is written, or the server fails.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Flag, auto
from itertools import zip_longest
from typing import Any, NamedTuple

from tests.fakes.answers import Completion, JsonObject


class Call(NamedTuple):
    """A tool call; `arguments` is JSON text."""

    id: str
    name: str
    arguments: str


class Answer(NamedTuple):
    """What one choice says in all."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    refusal: str = ""
    """Instead of text and calls. Behind its beginning the rest comes as text, as whoever goes on says it."""

    @property
    def finish_reason(self) -> str:
        """How it ends."""
        return "tool_calls" if self.calls else "stop"


class Habit(Flag):
    """How whoever goes on may differ from what is best, and is still understood."""

    NONE = 0
    REPEATS = auto()
    """Says id and name of a call again with every piece of its arguments."""
    COUNTS_ANEW = auto()
    """Counts the calls that it begins itself from 0."""
    OLD = auto()
    """Tells the only call there is as `function_call`, without an id."""


def deltas(answer: Answer, begun: Answer | None = None, size: int = 1, habit: Habit = Habit.NONE) -> list[JsonObject]:
    """What of an answer is still to be said behind `begun`, in pieces of `size` characters; the role comes first."""
    begun = begun or Answer()
    words = answer.refusal or answer.text
    assert words.startswith(begun.text)
    said: list[JsonObject] = [{"role": "assistant", "content": "" if answer.text else None, "refusal": None}]
    kind = "refusal" if answer.refusal and not begun.text else "content"
    said += [{kind: piece} for piece in _cut(words[len(begun.text) :], size)]
    for index, call in enumerate(answer.calls):
        said += [_called(entry, habit) for entry in _entries(call, index, begun, size, habit)]
    return said


def _called(entry: JsonObject, habit: Habit) -> JsonObject:
    return {"function_call": entry["function"]} if Habit.OLD in habit else {"tool_calls": [entry]}


def _entries(call: Call, index: int, begun: Answer, size: int, habit: Habit) -> Iterator[JsonObject]:
    head = {"id": call.id, "type": "function"}
    known = begun.calls[index] if index < len(begun.calls) else None
    if known is None:
        index -= len(begun.calls) if Habit.COUNTS_ANEW in habit else 0
        yield {"index": index, **head, "function": {"name": call.name, "arguments": ""}}
    else:
        assert known[:2] == call[:2]
        assert call.arguments.startswith(known.arguments)
        assert known.arguments == call.arguments or known == begun.calls[-1]
    for piece in _cut(call.arguments[len(known.arguments) if known else 0 :], size):
        if Habit.REPEATS in habit:
            yield {"index": index, **head, "function": {"name": call.name, "arguments": piece}}
        else:
            yield {"index": index, "function": {"arguments": piece}}


def _cut(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def delivered(fields: JsonObject) -> list[Answer | None]:
    """Of each answer what the client of a request has; None where it is complete."""
    count = int(fields.get("n") or 1)
    texts, calls = fields.get("delivered_text", ""), fields.get("delivered_tool_calls", [])
    if count == 1:
        texts, calls = [texts], [calls]
    pairs = zip_longest(texts or [""] * count, calls, fillvalue=())
    return [None if text is None else Answer(text, tuple(map(_call, calls or ()))) for text, calls in pairs]


def _call(said: JsonObject) -> Call:
    assert said["type"] == "function"
    return Call(said["id"], said["function"]["name"], said["function"]["arguments"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken(Completion):
    """A chat stream of `answers`, one for each choice; a piece is one delta."""

    answers: Sequence[Answer]
    size: int = 1
    habit: Habit = Habit.NONE

    @property
    def pieces(self) -> tuple[Any, ...]:
        """The choices of the stream's events, those of several answers in turn; roles aside."""
        streams = [
            [{"index": index, "delta": delta, "finish_reason": None} for delta in said]
            for index, said in enumerate(self._deltas)
        ]
        return tuple(row for rows in zip_longest(*streams) for row in rows if row and "role" not in row["delta"])

    def opening(self) -> list[bytes]:
        """The roles."""
        return [self._chunk(index, {"delta": said[0]}, None) for index, said in enumerate(self._deltas) if said]

    def piece(self, row: Any) -> list[bytes]:
        """One event; a text is added where the piece before ended."""
        if not isinstance(row, dict):
            entry = {"index": 0, "function": {"arguments": row}}
            words = {"refusal": row} if self.answers[0].refusal else {"content": row}
            row = {"index": 0, "delta": {"tool_calls": [entry]} if self.answers[0].calls else words}
        return [self._chunk(row["index"], {"delta": row["delta"]}, None)]

    def closing(self) -> list[bytes]:
        """The reasons for the end, and usage."""
        ends = [
            self._chunk(index, {"delta": {}}, self._reason(answer))
            for index, (answer, said) in enumerate(zip(self.answers, self._deltas, strict=True))
            if said
        ]
        return [*ends, *Completion.closing(self)[self.choices :]]

    def _reason(self, answer: Answer) -> str:
        return "function_call" if answer.calls and Habit.OLD in self.habit else answer.finish_reason

    @property
    def _deltas(self) -> list[list[JsonObject]]:
        known = delivered(self.fields)
        return [
            [] if begun is None else deltas(answer, begun, self.size, self.habit)
            for answer, begun in zip(self.answers, known, strict=True)
        ]
