"""The tool calls of one streamed answer: what the client has of them, and where that belongs which somebody adds.

A call comes in deltas under its index: the first has its id and its name, the others bring its arguments, JSON text cut
anywhere (OpenAI API reference, chat.completion.chunk). Clients append what they get, so that an id or a name that
comes twice is doubled, and arguments under a wrong index run a function with the wrong ones.

Whoever goes on is told the calls as a list, adds to the last of them under its place in that list, and begins new ones
behind it. What does not fit that is refused.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from proxy.wire.delivered import DeliveredCall, Unstitchable

_Fields = dict[str, Any]


@dataclass(slots=True, eq=False)
class _Call:
    index: int
    """The client's."""
    id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)

    @property
    def is_complete(self) -> bool:
        try:
            json.loads(self.arguments, strict=False)  # not whether it is right, but whether it has ended
        except (ValueError, RecursionError):
            return False
        return True

    def add(self, entry: _Fields) -> None:
        """Nothing of it is kept if this raises Unstitchable."""
        identity, name, arguments = _read(entry)
        if (self.id and identity not in ("", self.id)) or (self.name and name not in ("", self.name)):
            raise Unstitchable("a tool call changed its id or its name")
        self.id, self.name = self.id or identity, self.name or name
        if arguments:
            self.pieces.append(arguments)


class ToolCalls:
    """`add` what the client was shown; `hand_over` to somebody else; then `joined` gives what that one says.

    Entries have the shape of ChatCompletionMessageToolCallChunk, which is for the caller to check.
    """

    __slots__ = ("_calls", "_meant", "_seam")

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._meant: dict[int, _Call] = {}
        """By the index that whoever speaks now has for it."""
        self._seam: _Call | None = None
        """Begun by one, to be ended by another."""

    @property
    def delivered(self) -> tuple[DeliveredCall, ...]:
        """What the client has."""
        return tuple(DeliveredCall(call.id, call.name, call.arguments) for call in self._calls)

    @property
    def are_named(self) -> bool:
        """Whether it is known of each which function it calls."""
        return all(call.name for call in self._calls)

    def add(self, entry: _Fields) -> None:
        """A delta that the client was shown. Raises Unstitchable: nobody could go on behind it."""
        index = entry["index"]
        if index not in self._meant:
            if self._calls and self._calls[-1].pieces and not self._calls[-1].is_complete:
                raise Unstitchable("two tool calls are open")
            self._begin(index, _Call(index))
        self._extend(self._meant[index], entry)

    def hand_over(self) -> None:
        """Somebody else goes on, who counts from the beginning of `delivered`."""
        self._meant = dict(enumerate(self._calls))
        self._seam = self._calls[-1] if self._calls else None

    def joined(self, entry: _Fields) -> _Fields | None:
        """A delta of whoever goes on, as the client is to see it; None where it says nothing new.

        A new id is a new call, also under an index that was taken: it gets the client's next one.

        Raises Unstitchable, and nothing is kept of it.
        """
        call = self._meant.get(entry["index"])
        identity, name, arguments = _read(entry)
        if call is None or (identity and identity != call.id):
            return self._joined_anew(entry, name)
        self._extend(call, entry)
        if not arguments:
            return None
        function = {key: value for key, value in entry["function"].items() if key != "name"}
        rest = {key: value for key, value in entry.items() if key not in ("id", "type")}
        return rest | {"index": call.index, "function": function}

    def close(self) -> None:
        """Something else follows, or nothing. Raises Unstitchable if the call that was cut is still half a call."""
        if self._seam is not None and not self._seam.is_complete:
            raise Unstitchable("half a tool call was left as it was")

    def _joined_anew(self, entry: _Fields, name: str) -> _Fields:
        if not name:
            raise Unstitchable("arguments of no tool call")
        self.close()
        call = _Call(1 + max((call.index for call in self._calls), default=-1))
        call.add(entry)
        self._begin(entry["index"], call)
        return entry | {"index": call.index}

    def _begin(self, index: int, call: _Call) -> None:
        self._calls.append(call)
        self._meant[index] = call

    def _extend(self, call: _Call, entry: _Fields) -> None:
        if call is not self._calls[-1] and _read(entry)[2]:
            raise Unstitchable("arguments of a tool call that had ended")
        call.add(entry)


def _read(entry: _Fields) -> tuple[str, str, str]:
    """Id, name and arguments."""
    if entry.get("type") not in (None, "", "function"):
        raise Unstitchable("a tool that is no function is being called")
    function = entry.get("function") or {}
    return entry.get("id") or "", function.get("name") or "", function.get("arguments") or ""
