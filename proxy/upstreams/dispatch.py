"""One request on its way, and its answer as it comes. Driven by the connection's callbacks; no task and no timer."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from proxy.core.outcome import Kind, Outcome
from proxy.core.phases import Phases
from proxy.upstreams.connection import Connection
from proxy.upstreams.upload import SLICE_BYTES, slices, upload
from proxy.wire import http1
from proxy.wire.http1 import Body, Malformed, ResponseHead

STALE_RETRIES = 2
_SWITCHING_PROTOCOLS = 101
_SMALL_BYTES = 2**14
"""Less than any kernel's buffer for an idle connection."""


class Sink(Protocol):
    """Who reads an answer: `head`, `body` any number of times, `end`; or `failed` in place of the rest.

    Or `whole` in place of all that, where an answer comes in one piece.
    """

    def whole(self, head: ResponseHead, body: bytes) -> None:
        """The answer has come, all of it; `body` is not empty."""
        ...

    def head(self, head: ResponseHead) -> None:
        """The head has come."""
        ...

    def body(self, data: bytes) -> None:
        """Some of the body, its framing removed; never empty."""
        ...

    def end(self) -> None:
        """The answer is whole. Its connection is free for the next request."""
        ...

    def failed(self, outcome: Outcome) -> None:
        """There will be no whole answer."""
        ...


class Owner(Protocol):
    """Whose requests these are: the pool of connections."""

    def now(self) -> float:
        """The monotonic instant."""
        ...

    def again(self, dispatch: "Dispatch") -> None:
        """Send a request once more, on another connection."""
        ...

    def release(self, connection: Connection) -> None:
        """A connection has carried its exchange to a clean end."""
        ...


@dataclass(slots=True, eq=False)
class Dispatch:
    """A request that was handed to the transport.

    While not a byte of the answer has come, the end of a *reused* connection says nothing about the upstream: it died
    between the moment it was picked and the moment it was used. The request is then sent again on another one, at most
    twice, before anybody is blamed. A body that is an iterator can be sent only once, and is.
    """

    _owner: Owner
    _head: bytes
    _body: bytes | AsyncIterator[bytes]
    _sink: Sink | None
    connect_seconds: float
    _is_head_request: bool
    phases: Phases = field(default_factory=Phases)
    task: asyncio.Task[Any] | None = None
    """The dial or the upload; it ends with the request."""
    _retries: int = STALE_RETRIES
    _connection: Connection | None = None
    _answer: Body | None = None
    _held: bytes = b""
    _status: int | None = None
    _sent_at: float = 0.0
    _keeps_alive: bool = False
    _is_paused: bool = False
    _is_small: bool = False
    """The request went into the socket's buffer at once."""

    # ---- what its reader asks

    def cancel(self) -> None:
        """Cut it; the sink hears nothing more. The connection is cut too, which tells the upstream to stop, unless the
        answer had come to its end.
        """
        connection = self._connection
        self._finish()
        if connection is not None:
            connection.abort()

    def pause_reading(self) -> None:
        """Read no more for now. What has been read already still comes: the rest of one read."""
        self._is_paused = True
        if self._connection is not None:
            self._connection.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self._is_paused = False
        if self._connection is not None:
            self._connection.resume_reading()

    # ---- what its owner says

    @property
    def is_over(self) -> bool:
        """Whether it has ended, failed or been cancelled."""
        return self._sink is None

    def start(self, connection: Connection) -> None:
        """Send the request on `connection`."""
        self._connection = connection
        self._sent_at = self._owner.now()
        connection.receiver = self
        body = self._body
        if isinstance(body, bytes) and len(body) <= SLICE_BYTES:
            self._is_small = len(body) < _SMALL_BYTES
            connection.write(self._head + body)
        else:
            connection.write(self._head)
            self._upload(connection, body)
        if self._is_paused:
            connection.pause_reading()

    def _upload(self, connection: Connection, body: bytes | AsyncIterator[bytes]) -> None:
        pieces = slices(body) if isinstance(body, bytes) else body
        self.task = asyncio.get_running_loop().create_task(upload(connection, pieces))
        self.task.add_done_callback(self._uploaded)

    def _uploaded(self, task: asyncio.Task[None]) -> None:
        """A body that cannot be read to its end is the client's failure."""
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if task is self.task:
            self.task = None
            if error is not None:
                self.fail(Outcome(Kind.CLIENT_GONE, self._status, detail=type(error).__name__))

    def fail(self, outcome: Outcome) -> None:
        """Tell the sink that there will be no answer, if it still waits for one."""
        sink, connection = self._sink, self._connection
        if sink is None:
            return
        self._finish()
        if connection is not None:
            connection.abort()
        sink.failed(outcome)

    # ---- what its connection says

    def received(self, data: bytes) -> None:
        """Bytes of the answer."""
        answer = self._answer
        try:
            if answer is None:
                self._read_head(data)
            else:
                self._read_body(data, answer)
        except Malformed as error:
            self.fail(Outcome(Kind.BAD_ANSWER, self._status, detail=str(error)))

    def lost(self, detail: str, *, is_clean: bool) -> None:
        """The connection has ended: that is the end of an open body, and of any other too early."""
        self._connection = None
        if self._answer is None:
            self._lost_before_head(detail)
        elif is_clean and self._answer.ends_with_connection:
            self._end()
        else:
            self.fail(Outcome(Kind.CUT, self._status, detail=detail))

    def _lost_before_head(self, detail: str) -> None:
        phases = self.phases
        if phases.is_reused and phases.first_byte is None and self._retries and isinstance(self._body, bytes):
            self._retries -= 1
            self._stop_task()
            self._owner.again(self)
        else:
            self.fail(Outcome(Kind.RESET, detail=detail))

    # ---- the answer

    def _read_head(self, data: bytes) -> None:
        phases = self.phases
        if phases.first_byte is None:
            phases.first_byte = self._owner.now() - self._sent_at
        elif self._held:
            data = self._held + data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            head = http1.parse_response_head(data, end)
            data = data[end + 4 :]
            if head.status >= 200:
                if head.size == len(data) and data and not self._is_head_request and head.status not in http1.BODILESS:
                    self._status = head.status
                    self._keeps_alive = True
                    self._end(head, data)
                else:
                    self._begin(head, data)
                return
            if head.status == _SWITCHING_PROTOCOLS:
                raise Malformed("101 without an upgrade")
        http1.check_partial_head(data)
        self._held = data

    def _begin(self, head: ResponseHead, rest: bytes) -> None:
        answer = http1.body_of(head, is_head_request=self._is_head_request)
        self._status = head.status
        self._keeps_alive = head.keeps_alive
        self._answer = answer
        if (sink := self._sink) is not None:
            sink.head(head)
        if rest or answer.is_done:
            self._read_body(rest, answer)

    def _read_body(self, data: bytes, answer: Body) -> None:
        payload = answer.feed(data)
        if payload and (sink := self._sink) is not None:
            sink.body(payload)
        if answer.is_done:
            self._keeps_alive = self._keeps_alive and not answer.excess
            self._end()

    def _end(self, head: ResponseHead | None = None, body: bytes = b"") -> None:
        """The answer is whole, in one piece if `head` is given. An upload that is not is pointless now, and leaves a
        connection of no use.
        """
        sink, connection = self._sink, self._connection
        if sink is None:
            return
        is_reusable = self._keeps_alive and self.task is None
        self._finish()
        if connection is not None:
            if is_reusable and (self._is_small or connection.is_flushed()):
                self._owner.release(connection)
            else:
                connection.abort()
        if head is None:
            sink.end()
        else:
            sink.whole(head, body)

    def _finish(self) -> None:
        """Let go of everything, so that an idle connection holds no answer, and nothing holds itself."""
        connection = self._connection
        if connection is not None:
            connection.receiver = None
            if self._is_paused:
                connection.resume_reading()
        if self.task is not None:
            self._stop_task()
        self._connection = self._sink = None
        self._head = self._body = self._held = b""

    def _stop_task(self) -> None:
        if self.task is not None:
            self.task.cancel()
            self.task = None
