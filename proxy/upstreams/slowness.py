"""A real answer that takes its time: a Sink before the real one, which keeps back what it hears."""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

from proxy.core.drill_report import Shape
from proxy.core.outcome import Outcome
from proxy.upstreams.dispatch import Dispatch, Sink
from proxy.wire import sse
from proxy.wire.http1 import ResponseHead

LATE_SECONDS: Final = 30.0
"""As on 2024-12-04, when every request stalled for half a minute and succeeded."""
GAP_SECONDS: Final = 1.0


class Slowness:
    """Delays a good answer as its shape, one of SLOW, says. `dispatch` is the real exchange.

    An answer that is not streamed has no pieces that could come slowly: it is late as a whole. So are refusals.
    """

    def __init__(self, sink: Sink, shape: Shape, gap_seconds: float = GAP_SECONDS) -> None:
        self.dispatch: Dispatch | None = None
        self._sink = sink
        self._shape = shape
        self._gap_seconds = gap_seconds
        self._reader = sse.EventReader()
        self._held: deque[Callable[[], None]] = deque()
        self._is_dripping = False
        self._is_released = False
        self._timer = asyncio.get_running_loop().call_later(LATE_SECONDS, self.release)

    # ---- Sink

    def whole(self, head: ResponseHead, body: bytes) -> None:
        """The answer in one piece. Nobody may be there any more when it is shown: who takes it in pieces can tell."""
        self.head(head)
        self.body(body)
        self.end()

    def head(self, head: ResponseHead) -> None:
        """The head."""
        is_stream = head.content_type == "text/event-stream"
        if self._shape is Shape.SLOW_TOKENS and is_stream and not self._is_released:
            self._is_dripping = True
            self._timer.cancel()
            self._sink.head(head)
        else:
            self._keep(partial(self._sink.head, head))

    def body(self, data: bytes) -> None:
        """Some of it."""
        if not self._is_dripping:
            self._keep(partial(self._sink.body, data))
            return
        for event in sse.events(self._reader.feed(data)):
            self._keep(partial(self._sink.body, event))

    def end(self) -> None:
        """The upstream has ended it."""
        if self._reader.rest:
            self._keep(partial(self._sink.body, self._reader.rest))
        self._keep(self._sink.end)

    def failed(self, outcome: Outcome) -> None:
        """It broke by itself."""
        self._keep(partial(self._sink.failed, outcome))

    # ---- Broken

    @property
    def is_over(self) -> bool:
        """Whether all that came has been shown."""
        return not self._held and (self.dispatch is None or self.dispatch.is_over)

    def release(self) -> None:
        """It has waited for long enough, or the drill is over: show all of it, and what comes from now on."""
        self._timer.cancel()
        self._is_released, self._is_dripping = True, False
        rest, self._reader.rest = self._reader.rest, b""
        if rest:
            self._held.append(partial(self._sink.body, rest))
        while self._held:
            self._held.popleft()()
        if self.dispatch is not None:
            self.dispatch.resume_reading()

    # ----

    def _keep(self, show: Callable[[], None]) -> None:
        if self._is_released:
            show()
            return
        self._held.append(show)
        if self.dispatch is not None:
            self.dispatch.pause_reading()
        if self._is_dripping and len(self._held) == 1:
            self._timer = asyncio.get_running_loop().call_later(self._gap_seconds, self._drip)

    def _drip(self) -> None:
        self._held.popleft()()
        if self._held:
            self._timer = asyncio.get_running_loop().call_later(self._gap_seconds, self._drip)
        elif self.dispatch is not None:
            self.dispatch.resume_reading()
