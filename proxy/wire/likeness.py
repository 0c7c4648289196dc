"""Whether an event of a stream is surely as good as those before it, at a glance.

The events of one stream are alike: they begin and end with the same few bytes. One that does not, or in which a quoted
word begins with `error`, or that shares its block with others, is worth a closer look; nearly none is.
"""

from proxy.wire import completion, sse

_BEGIN_BYTES = 12
"""`data: {"id":`"""

_END_BYTES = 4
"""`]}`, or what else stands last, and the blank line."""


class Likeness:
    """Of the events of one stream."""

    __slots__ = ("_begin", "_end")

    def __init__(self) -> None:
        self._begin = self._end = b""

    def holds(self, block: bytes) -> bool:
        """Whether `block` is one event, like the last that was looked at."""
        return (
            block[:_BEGIN_BYTES] == self._begin
            and block[-_END_BYTES:] == self._end
            and block.find(b"\n") == len(block) - 2
            and block.find(b'"error') < 0
        )

    def end_of_sound(self, block: bytes) -> int:
        """A closer look: the index behind the last event before one that is broken or an error; the block's length if
        there is none.
        """
        end, event = 0, b""
        for event in sse.events(block):
            if any(data != completion.DONE and completion.glance(data).is_error for data in sse.payloads(event)):
                return end
            end += len(event)
        self._begin, self._end = event[:_BEGIN_BYTES], event[-_END_BYTES:]
        return end
