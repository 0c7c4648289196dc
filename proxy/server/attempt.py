"""One exchange with one upstream, from the first byte sent to its verdict.

It hears the transport (it is a Sink) and the clock (it is Limited), lets an Answer say what may be shown, and tells
its Listener. Everything happens in callbacks; nothing waits but the gate of a model server that is not there yet.
"""

import asyncio
from dataclasses import dataclass
from math import inf
from typing import Protocol

import msgspec
from multidict import CIMultiDict

from proxy.clock import Clock
from proxy.core.action import Start
from proxy.core.breaker import Permit
from proxy.core.health import Key
from proxy.core.outcome import OK, Kind, Outcome, kind_of_status
from proxy.core.phases import Phases
from proxy.server.answer import Answer, Remains, StreamAnswer, Unjoinable, WholeAnswer, check_completion
from proxy.server.deadlines import Deadlines
from proxy.server.journal import Budget
from proxy.upstreams.transport import AttemptFailed, Dispatch
from proxy.upstreams.upstream import Call, Upstream
from proxy.wire import headers
from proxy.wire.headers import Fields
from proxy.wire.http1 import ResponseHead


class Question(msgspec.Struct, gc=False):
    """A completion request as an attempt needs it."""

    call: Call
    model: str
    is_stream: bool


@dataclass(frozen=True, slots=True)
class Facilities:
    """What all attempts of a process share."""

    clock: Clock
    deadlines: Deadlines
    journals: Budget


class Listener(Protocol):
    """Who is told how an attempt goes. `ended` or `fault` comes last, and once."""

    def content(self, attempt: "Attempt", held: bytes) -> None:
        """A stream shows its first content. `held` is all of it so far, in whole events."""
        ...

    def block(self, data: bytes) -> None:
        """More whole events of a stream that has shown content."""
        ...

    def ended(self, attempt: "Attempt", outcome: Outcome, body: bytes | None) -> None:
        """It is over; `body` is the answer where a whole one came."""
        ...

    def overdue(self, attempt: "Attempt") -> None:
        """It is silent, past its start's `hedge_at` or `yield_at`. It can be told to `heed` others."""
        ...

    def fault(self, attempt: "Attempt", error: Exception) -> None:
        """It is over because something failed on our side: a mistake of ours, or RequestInvalid."""
        ...


@dataclass(slots=True, eq=False)
class Attempt:
    """See the module's text. `launch` it once; then it ends by itself, or by `cancel`."""

    start: Start
    key: Key
    permit: Permit
    _upstream: Upstream
    question: Question
    listener: Listener
    _facilities: Facilities
    began_at: float = 0.0
    limit_at: float = inf
    first_content_at: float | None = None
    response: ResponseHead | None = None
    """The head of the answer, once it is there."""
    lacks_end: bool = False
    """The stream has ended well, but has not said so."""
    remains: Remains | None = None
    """Of a stream that broke after its first content."""
    _answer: Answer | None = None
    _dispatch: Dispatch | None = None
    _wait: asyncio.Task[None] | None = None
    _is_committed: bool = False
    _is_over: bool = False

    @property
    def phases(self) -> Phases | None:
        """Where the time went; None while it waits at the gate."""
        return self._dispatch.phases if self._dispatch else None

    @property
    def upstream_request_id(self) -> str | None:
        """What the upstream calls it."""
        value = self.response.get(b"x-request-id") if self.response else None
        return value.decode("latin-1") if value else None

    def launch(self, extra: Fields) -> None:
        """Send the request; `extra` takes the place of what the client has sent under these names.

        Raises RequestInvalid. The listener hears nothing before this has returned.
        """
        self.began_at = self._facilities.clock.monotonic()
        self.limit_at = min(self.start.hedge_at, self.start.limit_at)
        self._facilities.deadlines.watch(self)
        if self._upstream.is_ready and self.start.begin_at <= self.began_at:
            self._send(extra)
        else:
            self._wait = asyncio.get_running_loop().create_task(self._send_when_ready(extra))

    def cancel(self) -> None:
        """Nobody wants the answer any more: free the upstream at once. The listener hears nothing more."""
        self._close()

    def pause(self) -> None:
        """The client does not read. That is nothing to hold against the upstream."""
        if self._dispatch is not None and self._is_committed and not self._is_over:
            self._dispatch.pause_reading()
            self.limit_at = inf

    def resume(self) -> None:
        """The client reads again."""
        if self._dispatch is not None and self._is_committed and not self._is_over:
            self.limit_at = self._facilities.clock.monotonic() + self.start.stall_seconds
            self._dispatch.resume_reading()

    def heed(self, start: Start) -> None:
        """Go by `start`: that of the attempt, with other instants. Those that have passed are not told again."""
        self.start = start
        now = self._facilities.clock.monotonic()
        to_come = (at for at in (start.hedge_at, start.yield_at) if at > now)
        self.limit_at = min((start.limit_at, *to_come))

    # ---- what the transport says

    def whole(self, head: ResponseHead, body: bytes) -> None:
        """All of the answer at once, as most unstreamed ones come."""
        if head.status != 200 or self.question.is_stream:
            self.head(head)
            self.body(body)
            self.end()
            return
        self.response = head
        try:
            check_completion(head, body)
            self._end(OK, body)
        except AttemptFailed as failure:
            self._break(failure.outcome)
        except Exception as error:  # noqa: BLE001 - as in `head`
            self._fault(error)

    def head(self, head: ResponseHead) -> None:
        """The head of the answer."""
        self.response = head
        try:
            self._answer = self._judge(head)
        except AttemptFailed as failure:
            self._break(failure.outcome)
        except Exception as error:  # noqa: BLE001 - the boundary: nobody above a callback would hear of it
            self._fault(error)

    def body(self, data: bytes) -> None:
        """More of its body."""
        answer = self._answer
        if self._is_over or answer is None:
            return
        try:
            if block := answer.take(data):
                self._show(answer, block)
            if answer.fault is not None:
                self._break(answer.fault)
        except Unjoinable as failure:
            self._break(failure.outcome, may_be_whole=False)
        except AttemptFailed as failure:
            self._break(failure.outcome)
        except Exception as error:  # noqa: BLE001 - as in `head`
            self._fault(error)

    def end(self) -> None:
        """The answer is complete, as far as HTTP goes."""
        if self._is_over or self._answer is None:
            return
        try:
            outcome, body = self._answer.end()
            self._end(outcome, body)
        except AttemptFailed as failure:
            self._break(failure.outcome)
        except Exception as error:  # noqa: BLE001 - as in `head`
            self._fault(error)

    def failed(self, outcome: Outcome) -> None:
        """The exchange broke."""
        self._break(outcome)

    def expire(self) -> None:
        """Its time is up, or it is time for the next step."""
        now, start = self._facilities.clock.monotonic(), self.start
        if self._is_committed or start.limit_at <= now:
            self._break(Outcome(Kind.STALL if self._is_committed else start.late_kind, self._status))
            return
        self.limit_at = start.limit_at
        self._facilities.deadlines.watch(self)
        self.listener.overdue(self)

    # ----

    @property
    def _status(self) -> int | None:
        return self.response.status if self._is_committed and self.response else None

    def _send(self, extra: Fields) -> None:
        candidate = self.start.candidate
        self._dispatch = self._upstream.dispatch(
            self.question.call,
            None if candidate.model == self.question.model else candidate.model,
            self,
            connect_seconds=self.start.connect_seconds,
            extra=extra,
            dropped=candidate.losses,
        )

    async def _send_when_ready(self, extra: Fields) -> None:
        try:
            if (early_seconds := self.start.begin_at - self.began_at) > 0:
                await asyncio.sleep(early_seconds)
            if await self._upstream.wait(self.limit_at - self._facilities.clock.monotonic()):
                self._send(extra)
            else:
                self._end(Outcome(Kind.UNAVAILABLE, detail="the local model is not ready"))
        except Exception as error:  # noqa: BLE001 - as in `head`
            self._fault(error)

    def _judge(self, head: ResponseHead) -> Answer:
        """What the head promises. Raises AttemptFailed."""
        outcome = OK
        if head.status != 200:
            kind = kind_of_status(head.status, self._upstream.key_owner(self.question.call.fields))
            lookup, wall = CIMultiDict(head.fields), self._facilities.clock.wall()
            pause = headers.retry_after_seconds(lookup, wall, is_rate_limited=head.status == 429)
            outcome = Outcome(kind, head.status, pause)
            if not outcome.is_answer:
                raise AttemptFailed(outcome)
        is_success = outcome is OK or outcome.kind is Kind.OK
        if is_success and self.question.is_stream:
            return StreamAnswer(head, self._facilities.journals)
        return WholeAnswer(head, outcome, is_checked=is_success)

    def _show(self, answer: Answer, block: bytes) -> None:
        """Times are set before the listener writes: it may find the client's connection full, see `pause`."""
        if not self._is_committed:
            self._is_committed = True
            self.first_content_at = self._facilities.clock.monotonic()
            self.limit_at = self.first_content_at + self.start.stall_seconds
            self.listener.content(self, block)
            return
        if self.limit_at != inf and not answer.is_keep_alive:
            self.limit_at = self._facilities.clock.monotonic() + self.start.stall_seconds
        self.listener.block(block)

    def _break(self, outcome: Outcome, *, may_be_whole: bool = True) -> None:
        """`may_be_whole`: a stream that had ended well before is well."""
        if self._is_over:
            return
        try:
            self._end(self._answer.broken(outcome) if self._answer and may_be_whole else outcome)
        except Exception as error:  # noqa: BLE001 - as in `head`
            self._fault(error)

    def _end(self, outcome: Outcome, body: bytes | None = None) -> None:
        if self._is_committed and isinstance(self._answer, StreamAnswer):
            self._look_back(self._answer, outcome)
        if outcome is OK and body is not None:  # nothing is left to be cut
            self._is_over = True
            self._facilities.deadlines.forget(self)
        else:
            self._close()
            self._upstream.note(outcome)
        self.listener.ended(self, outcome, body)

    def _look_back(self, answer: StreamAnswer, outcome: Outcome) -> None:
        if outcome is OK or outcome.kind is Kind.OK:
            self.lacks_end = answer.lacks_end
        else:
            self.remains = answer.remains()

    def _fault(self, error: Exception) -> None:
        self._close()
        self.listener.fault(self, error)

    def _close(self) -> None:
        self._is_over = True
        self._facilities.deadlines.forget(self)
        if self._dispatch is not None and not self._dispatch.is_over:
            self._dispatch.cancel()
        if self._wait is not None:
            self._wait.cancel()
        if self._answer is not None:
            self._answer.close()
