"""One legal stream out of two: what a broken stream has delivered, and what another upstream adds to it.

One id, one `created`, one role and one finish_reason for each choice, no byte twice and none lost. Only `model` tells
the truth: it names who wrote the chunk. Nothing here runs while a stream is well.

Shapes are those of chat.completion.chunk and text_completion (OpenAI API reference, "Streaming").
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from proxy.wire import sse
from proxy.wire.completion import DONE

_Fields = dict[str, Any]

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode

_FROM_ORIGIN = ("id", "created", "system_fingerprint", "service_tier")
"""What all chunks of one answer have in common."""


class Unstitchable(Exception):
    """Nobody can go on behind this; the text says why."""


class Stitch:
    """Owner of what the client has. `take` the blocks of whoever goes on; ask for `texts` whenever one breaks.

    Args:
        delivered: every event that the client was shown, as it came.
        choices: how many answers the request asked for.

    Raises:
        Unstitchable: no answer is open, or one that is open is no text.

    """

    def __init__(self, delivered: bytes, choices: int) -> None:
        self._origin: _Fields = {}
        self._choices = {index: _Choice() for index in range(choices)}
        for chunk in _chunks(delivered):
            self._origin = self._origin or {name: chunk[name] for name in _FROM_ORIGIN if name in chunk}
            for row in chunk.get("choices") or ():
                self._choices.setdefault(row.get("index", 0), _Choice()).add(row)
        if not self.is_open:
            raise Unstitchable("no text is open")

    @property
    def texts(self) -> list[str | None]:
        """Of each answer what the client has; None for those that are complete."""
        return [None if choice.is_finished else choice.text for _, choice in sorted(self._choices.items())]

    @property
    def is_open(self) -> bool:
        """Whether there is still something to go on behind."""
        still_open = [choice for choice in self._choices.values() if not choice.is_finished]
        return bool(still_open) and all(choice.is_text for choice in still_open)

    def take(self, block: bytes) -> bytes:
        """Whole events of the continuation, as the client is to see them; may be empty. Raises Unstitchable."""
        return b"".join([self._stitched(data) for data in sse.payloads(block)])

    def _stitched(self, data: bytes) -> bytes:
        if data == DONE:
            return sse.event(data)
        chunk = _read(data)
        rows = [row for row in map(self._joined, chunk.get("choices") or ()) if row]
        if not rows and not chunk.get("usage"):
            return b""
        return sse.event(_encode(chunk | self._origin | {"choices": rows}))

    def _joined(self, row: _Fields) -> _Fields | None:
        """A choice of the continuation as one of the whole; None where it says nothing new."""
        index = self._index_of(row)
        joined = row | {"index": index}
        if "delta" in row:
            joined["delta"] = delta = {name: value for name, value in row["delta"].items() if name != "role"}
            if not row.get("finish_reason") and not any(delta.values()):
                return None
        self._choices[index].add(joined)
        return joined

    def _index_of(self, row: _Fields) -> int:
        """Whoever goes on with one of several answers may not know that there are others."""
        index = row.get("index", 0)
        if index in self._choices and not self._choices[index].is_finished:
            return int(index)
        return next((index for index, choice in self._choices.items() if not choice.is_finished), 0)


class _Choice:
    """What is known of one answer."""

    __slots__ = ("is_finished", "is_text", "texts")

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.is_text = True
        self.is_finished = False

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def add(self, row: _Fields) -> None:
        delta = row.get("delta") or {}
        text = delta.get("content") or row.get("text")
        self.texts.append(text if isinstance(text, str) else "")
        self.is_text = self.is_text and not any(delta.get(name) for name in ("tool_calls", "function_call", "refusal"))
        self.is_finished = self.is_finished or bool(row.get("finish_reason"))


def _chunks(delivered: bytes) -> Iterator[_Fields]:
    return (_read(data) for data in sse.payloads(delivered) if data != DONE)


def _read(data: bytes) -> _Fields:
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unstitchable("an event is no JSON object") from None
