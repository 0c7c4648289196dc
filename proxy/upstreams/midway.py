"""A real answer that breaks half way: a Sink before the real one, which lets two pieces of content pass."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from proxy.core.drill_report import CUTS, Shape
from proxy.core.outcome import Kind, Outcome
from proxy.upstreams.dispatch import Dispatch, Sink
from proxy.wire import completion, envelope, sse
from proxy.wire.http1 import ResponseHead

_PIECES = 2
_MESSAGE = "This is a drill."
_HALF_EVENT = b'data: {"id":"chatcmpl-drill","choices":[{"index":0,"delta":{"content":"'
_BAD_EVENT = _HALF_EVENT + b"\n\n"
_HALF_CHARACTER = "\N{EURO SIGN}".encode()[:2]
_LAST_BYTES: Final[Mapping[Shape, tuple[bytes, bytes]]] = MappingProxyType(
    {
        Shape.CUT_IN_EVENT: (_HALF_EVENT, b""),
        Shape.CUT_IN_CHARACTER: (_HALF_EVENT + _HALF_CHARACTER, _HALF_CHARACTER),
    }
)
"""What a stream, and an answer that is none, still says before it is cut."""


class Midway:
    """Breaks a good answer as its shape, one of MIDWAY, says; any other passes. `dispatch` is the real exchange.

    A stream breaks behind its second piece of content, or before its finish if that comes earlier. An unstreamed
    answer breaks in its first bytes. What lacks `[DONE]` only is not broken anywhere else.
    """

    def __init__(self, sink: Sink, shape: Shape) -> None:
        self.dispatch: Dispatch | None = None
        self._sink = sink
        self._shape = shape
        self._reader = sse.EventReader()
        self._pieces = 0
        self._is_stream = False
        self._is_armed = True
        self._is_silent = False
        """It has been broken in such a way that the rest is not to be heard."""

    # ---- Sink

    def whole(self, head: ResponseHead, body: bytes) -> None:
        """The answer in one piece."""
        if self._is_armed and head.status == 200:
            self.head(head)
            self.body(body)
            self.end()
        else:
            self._sink.whole(head, body)

    def head(self, head: ResponseHead) -> None:
        """The head."""
        self._is_stream = head.content_type == "text/event-stream"
        can_break = self._is_stream or self._shape is not Shape.NO_DONE
        self._is_armed = self._is_armed and head.status == 200 and can_break
        self._sink.head(head)

    def body(self, data: bytes) -> None:
        """Some of it."""
        if self._is_silent:
            return
        if not self._is_armed:
            self._sink.body(data)
        elif self._shape is Shape.NO_DONE:
            self._pass_all_but_done(self._reader.feed(data))
        elif self._is_stream:
            self._pass_events(self._reader.feed(data))
        else:
            self._break(data[: len(data) // 2], b"")

    def end(self) -> None:
        """The upstream has ended it."""
        if self._is_silent:
            return
        self._flush()
        self._sink.end()

    def failed(self, outcome: Outcome) -> None:
        """It broke by itself."""
        if not self._is_silent:
            self._is_silent = True
            self._sink.failed(outcome)

    # ---- Broken

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for it. A stream that has stalled keeps its connection until then; an unstreamed answer
        has none to tell by.
        """
        has_ended = self.dispatch is None or self.dispatch.is_over
        return has_ended and (self._is_stream or self._shape is not Shape.STALL)

    def release(self) -> None:
        """The drill is over: a stalled answer fails now, one that has not been broken yet is left alone."""
        if self._is_silent:
            self._cut()
        elif self._is_armed:
            self._is_armed = False
            self._flush()

    # ----

    def _flush(self) -> None:
        rest, self._reader.rest = self._reader.rest, b""
        if rest:
            self._sink.body(rest)

    def _pass_all_but_done(self, block: bytes) -> None:
        passed = b"".join(event for event in sse.events(block) if completion.DONE not in sse.payloads(event))
        if passed:
            self._sink.body(passed)

    def _pass_events(self, block: bytes) -> None:
        passed = b""
        for event in sse.events(block):
            is_finish = self._count(event)
            if not is_finish:
                passed += event
            if self._pieces >= _PIECES or (is_finish and self._pieces):
                self._break(passed, block[len(passed) :])
                return
        if passed:
            self._sink.body(passed)

    def _count(self, event: bytes) -> bool:
        """Note what is content; whether the event is the finish."""
        seen = [completion.glance(data) for data in sse.payloads(event)]
        self._pieces += any(glance.has_content for glance in seen)
        return any(glance.is_finished for glance in seen)

    def _break(self, before: bytes, behind: bytes) -> None:
        self._is_armed = False
        self._is_silent = self._shape is not Shape.MALFORMED or not self._is_stream
        if before and (self._is_stream or self._shape is not Shape.ERROR_EVENT):
            self._sink.body(before)
        if self._shape in CUTS:
            self._say_last_bytes()
            self._cut()
            return
        match self._shape:
            case Shape.STALL:
                self._stall()
            case Shape.MALFORMED if self._is_stream:
                self._sink.body(_BAD_EVENT + behind)
                self._flush()
            case _:
                self._end_early()

    def _stall(self) -> None:
        if self.dispatch is not None:
            self.dispatch.pause_reading()

    def _say_last_bytes(self) -> None:
        of_stream, of_whole = _LAST_BYTES.get(self._shape, (b"", b""))
        if said := of_stream if self._is_stream else of_whole:
            self._sink.body(said)

    def _cut(self) -> None:
        self._leave()
        detail = "drill, reset" if self._shape is Shape.CUT_BY_RESET else "drill"
        self._sink.failed(Outcome(Kind.CUT, 200, detail=detail))

    def _end_early(self) -> None:
        """As if it had been all, where the shape has nothing more to say."""
        self._leave()
        if self._shape is Shape.ERROR_EVENT:
            said = envelope.error(_MESSAGE, kind=envelope.SERVER_ERROR, code="drill")
            self._sink.body(sse.event(said) if self._is_stream else said)
        self._sink.end()

    def _leave(self) -> None:
        if self.dispatch is not None:
            self.dispatch.cancel()
