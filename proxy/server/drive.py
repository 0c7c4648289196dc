"""One completion request on its way: performs what core/failover.py decides, and tells it what came of that.

Facts come in as calls, from the attempt under way and from the client's connection; what goes out is bytes on that
connection. Nothing here waits, so it is all the same which door the request came in by.
"""

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from typing import Final

from proxy.core.action import FINISH, Action, BreakOff, GiveUp, Promote, Start, Wait, learnt, reconsidered
from proxy.core.breaker import Permit, Refusal, first
from proxy.core.budget import RetryBudget
from proxy.core.candidates import Need, Plan
from proxy.core.failover import Failover, Opening
from proxy.core.health import Key
from proxy.core.outcome import OK, Kind, Outcome, Weight
from proxy.core.ramp import place
from proxy.errors import RequestInvalid
from proxy.server.account import CLIENT_GONE, Account
from proxy.server.attempt import Attempt, Facilities, Question
from proxy.server.reply import Reply
from proxy.server.response import FAULT_MESSAGE, OwnAnswer, answer_lines, error_answer, refusal, unavailable
from proxy.server.resumption import Resumption
from proxy.server.understudy import Understudy
from proxy.telemetry.events import AttemptEnded, Emit, FaultCaught, Result
from proxy.upstreams.pool import Pool
from proxy.wire import completion, envelope, sse
from proxy.wire.conversation import conversation
from proxy.wire.delivered import Unstitchable
from proxy.wire.headers import Fields

_SHRUNK: Final = b"x-hotspare-shrunk"
_RETRY_PAUSE_SECONDS: Final = (0.25, 0.5)
"""Long enough for a balancer to take a bad server out, short enough not to be noticed; jittered."""


@dataclass(frozen=True, slots=True)
class Means:
    """What every drive of a process works with."""

    pool: Pool
    facilities: Facilities
    emit: Emit
    retries: RetryBudget
    rng: random.Random
    now: Callable[[], float] = field(init=False)
    """The monotonic instant: the clock's own function, without a way to it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "now", self.facilities.clock.monotonic)


@dataclass(slots=True, eq=False)
class Drive:
    """See the module's text. `begin` it once; `on_end` is told the status that the client has seen, once."""

    _means: Means
    _account: Account
    _question: Question
    _plan: Plan
    _opening: Opening
    _reply: Reply
    _on_end: Callable[[int], None]
    _machine: Failover | None = None
    """Made when something goes otherwise than well."""
    _attempt: Attempt | None = None
    """The one that the client waits for."""
    _understudy: Understudy | None = None
    _resumption: Resumption | None = None
    """Once a stream that the client sees has broken."""
    _last_words: bytes = b""
    """What the last one to break said instead."""
    _status: int = 200
    _is_paused: bool = False
    _is_over: bool = False

    def begin(self) -> None:
        """Start with the first candidate."""
        self._means.retries.requests += 1
        try:
            self._perform(self._opening.begin(self._account.started_at))
        except Exception as error:  # noqa: BLE001 - the boundary: one of its callers is a callback, as in `_launch`
            self._fail(error)

    # ---- what the client's connection says

    def client_gone(self) -> None:
        """The client has left: free the upstream at once."""
        if self._is_over:
            return
        self._dismiss(Kind.CLIENT_GONE)
        if (attempt := self._attempt) is not None:
            attempt.cancel()
            self._report(attempt, Outcome(Kind.CLIENT_GONE))
        self._account.result = Result.CLIENT_GONE
        self._end(CLIENT_GONE)

    def pause(self) -> None:
        """The client does not read."""
        self._is_paused = True
        if self._attempt is not None:
            self._attempt.pause()

    def resume(self) -> None:
        """The client reads again."""
        self._is_paused = False
        if self._attempt is not None:
            self._attempt.resume()

    # ---- what the attempt says

    def content(self, attempt: Attempt, held: bytes) -> None:
        """From here on the client sees what comes."""
        if self._machine is not None:
            self._machine.content()
            self._dismiss()
        self._means.pool.first_content(attempt.permit)
        if attempt.start.is_resuming:
            self._go_on(attempt, held)
            return
        self._account.first_content_at = attempt.first_content_at
        self._account.is_committed = True
        if attempt.first_content_at is not None:
            self._means.pool.learn(attempt.key, attempt.first_content_at - attempt.began_at, len(self._body))
        self._note_answer(attempt)
        assert attempt.response is not None
        self._status = attempt.response.status
        self._reply.begin(self._status, answer_lines(attempt.response, self._account), held)
        if self._is_paused:  # it has not read the answer before this one
            attempt.pause()

    def block(self, data: bytes) -> None:
        """More of the stream. Raises AttemptFailed where it cannot be joined to what the client has."""
        if self._resumption is None:
            self._reply.block(data)
        else:
            self._resumption.show(data)

    def ended(self, attempt: Attempt, outcome: Outcome, body: bytes | None) -> None:
        """An attempt is over."""
        if self._resumption is not None and self._resumption.is_possible and attempt.lacks_end:
            # It has ended well by what it said itself, of one answer: it never came to another that it was to finish.
            outcome = Outcome(Kind.CUT, outcome.status, detail="ended before all answers had")
        self._report(attempt, outcome)
        if outcome is OK and self._machine is None:
            action: Action = FINISH
        else:
            machine = self._decider()
            can_go_on = outcome.is_answer or self._can_go_on(attempt)
            pause = self._retry_pause(attempt, outcome) if machine.is_passing(outcome) else None
            action = machine.ended(
                outcome,
                self._means.now(),
                can_go_on=can_go_on,
                retry_after_seconds=pause,
                is_local_ready=pause is not None and self._is_local_ready(),
            )
        if body is not None and action is FINISH:
            self._answer(attempt, outcome, body)
            return
        if attempt.lacks_end and action is FINISH:
            self._reply.block(sse.event(completion.DONE))
        self._perform(action)

    def _retry_pause(self, attempt: Attempt, outcome: Outcome) -> float | None:
        """How long to wait before asking the same upstream again, in seconds; None where that would do harm."""
        means = self._means
        if not (outcome.weight is Weight.HARD and means.pool.is_lone_failure(attempt.permit)):
            return None
        return means.rng.uniform(*_RETRY_PAUSE_SECONDS) if means.retries.spend(means.now()) else None

    def _is_local_ready(self) -> bool:
        """Whether it could begin now. One that is being loaded would not begin sooner for being asked sooner."""
        candidates, pool = self._plan.candidates, self._means.pool
        return any(candidate.is_local and pool[candidate.upstream].is_ready for candidate in candidates)

    def fault(self, attempt: Attempt, error: Exception) -> None:
        """A mistake of ours, or of the client's that only showed now."""
        self._dismiss()
        if self._attempt is attempt:
            self._report(attempt, Outcome(Kind.CLIENT_GONE))
        self._fail(error)

    def overdue(self, attempt: Attempt) -> None:
        """It is oddly silent; or it would be, if it were a stream."""
        now, start = self._means.now(), attempt.start
        if not self._question.is_stream:
            pool, key = self._means.pool, attempt.key
            usual_seconds = pool.usual_answer_seconds(key, self._body)
            start = reconsidered(start, usual_seconds, now, is_suspect=pool.is_suspect(key))
            attempt.heed(start)
        if start.hedge_at <= now:
            self._perform(self._decider().overdue(now))
        if start.yield_at <= now:
            self._perform(self._decider().must_yield())

    # ---- what the understudy says

    def understudy_shows(self) -> None:
        """It could take over."""
        self._perform(self._decider().hedge_shows())

    def understudy_failed(self, attempt: Attempt, outcome: Outcome) -> None:
        """It never will."""
        self._understudy = None
        self._report(attempt, outcome)
        self._perform(self._decider().hedge_failed(outcome.kind, outcome.status))

    def understudy_fault(self, attempt: Attempt, error: Exception) -> None:
        """A mistake of ours, which need not be the client's loss: it waits for another one."""
        self._means.emit(FaultCaught("understudy", error))
        self.understudy_failed(attempt, Outcome(Kind.UNAVAILABLE, detail="a mistake of ours"))

    # ----

    def _fail(self, error: Exception) -> None:
        if self._is_over:  # the answer is out; what came after it on this connection has failed
            self._means.emit(FaultCaught("request", error))
            self._reply.hang_up()
            return
        if isinstance(error, RequestInvalid):
            self._account.result = Result.CALLER_ERROR
            self._send(refusal(error, self._account))
            return
        self._account.result = Result.FAULT
        self._means.emit(FaultCaught("request", error))
        if self._account.is_committed:
            self._reply.cut()
            self._end(self._status)
        else:
            self._send(error_answer(500, FAULT_MESSAGE, self._account, code="proxy_fault"))

    def _decider(self) -> Failover:
        """The machine. Made as it would be by now: the first attempt has started, and may have shown content."""
        if self._machine is not None:
            return self._machine
        machine = self._machine = self._opening.make(self._account.started_at)
        machine.begin(self._account.started_at)
        if self._account.is_committed:
            machine.content()
        return machine

    def _perform(self, action: Action) -> None:
        """Perform actions until one of them takes time, or ends the request."""
        while isinstance(action, Start):
            key = Key(action.candidate.upstream, action.candidate.model)
            whence = self._place if len(self._plan.candidates) > 1 else first
            permit = self._means.pool.acquire(key, self._account.endpoint, whence, is_forced=action.is_forced)
            if not isinstance(permit, Refusal):
                self._launch(self._fitted(action, key), key, permit)
                return
            machine = self._decider()
            is_hedge = action.is_hedge
            action = machine.hedge_failed(Kind.BREAKER_OPEN) if is_hedge else machine.refused(permit, self._means.now())
        match action:
            case Wait():
                pass
            case Promote():
                self._promote()
            case GiveUp():
                self._send(unavailable(action, self._plan, self._account))
            case BreakOff(outcome):
                self._break_off(outcome)
            case _:
                self._reply.end()
                self._end(self._status)

    def _place(self) -> float:
        """Where this conversation stands among those that come back to an upstream."""
        return place(self._account.client, conversation(self._body))

    def _fitted(self, start: Start, key: Key) -> Start:
        """With what is known of this upstream."""
        if start.is_resuming or start.is_hedge:
            return start
        pool, question = self._means.pool, self._question
        limit_seconds = pool.limit_seconds(key, len(self._body)) if question.is_stream else None
        is_suspect = start.hedge_at < inf and pool.is_suspect(key)
        if limit_seconds is None and not is_suspect:
            return start
        return learnt(start, limit_seconds, is_suspect=is_suspect)

    def _launch(self, start: Start, key: Key, permit: Permit) -> None:
        upstream = self._means.pool[key.upstream]
        attempt = Attempt(start, key, permit, upstream, self._question, self, self._means.facilities)
        if start.is_hedge:
            self._understudy = Understudy(attempt, self)
        else:
            self._attempt = attempt
        self._account.attempts = start.number
        try:
            if start.is_resuming and self._resumption is not None:
                attempt.question = self._resumption.question(start)
            attempt.launch(self._fields_for_local(start) if upstream.is_local else [])
        except Unstitchable as error:
            attempt.cancel()
            self.ended(attempt, Outcome(Kind.CALLER_ERROR, detail=str(error)), None)
        except Exception as error:  # noqa: BLE001 - the boundary: nobody above a callback would hear of it
            attempt.cancel()
            attempt.listener.fault(attempt, error)

    # ---- the understudy

    def _promote(self) -> None:
        """Whoever the client was waiting for is too slow, or gone."""
        understudy, self._understudy = self._understudy, None
        if (slow := self._attempt) is not None:
            slow.cancel()
            self._report(slow, Outcome(Kind.SLOW))
        assert understudy is not None
        self._attempt = understudy.attempt
        understudy.promote()

    def _dismiss(self, kind: Kind = Kind.NOT_NEEDED) -> None:
        """The understudy is not needed."""
        understudy, self._understudy = self._understudy, None
        if understudy is not None:
            understudy.dismiss()
            self._report(understudy.attempt, Outcome(kind))

    # ---- a stream that broke, and who goes on with it

    def _can_go_on(self, attempt: Attempt) -> bool:
        """Whether what the client has by now is something to go on behind."""
        if attempt.remains is not None:
            self._last_words = attempt.remains.last_words
        if not self._account.is_committed:
            return True
        if self._resumption is None and attempt.remains is not None:
            with suppress(Unstitchable):
                facilities = self._means.facilities
                self._resumption = Resumption(self._question, attempt.remains, self._reply, facilities)
        return self._resumption is not None and self._resumption.is_possible

    def _go_on(self, attempt: Attempt, held: bytes) -> None:
        self._account.resumed_by = attempt.key.upstream
        if self._machine is not None:
            self._account.tried = self._machine.tried
        self.block(held)
        if self._is_paused:
            attempt.pause()

    @property
    def _body(self) -> bytes:
        body = self._question.call.body
        assert isinstance(body, bytes)
        return body

    def _answer(self, attempt: Attempt, outcome: Outcome, body: bytes) -> None:
        """The client gets a whole answer."""
        if outcome is not OK and outcome.kind is Kind.CALLER_ERROR:
            self._account.result = Result.CALLER_ERROR
        self._note_answer(attempt)
        assert attempt.response is not None
        status = attempt.response.status
        self._reply.whole(status, answer_lines(attempt.response, self._account), body)
        self._end(status)

    def _send(self, answer: OwnAnswer) -> None:
        """The client gets an answer of our own."""
        self._reply.whole(answer.status, answer.lines(), answer.body)
        self._end(answer.status)

    def _break_off(self, outcome: Outcome) -> None:
        """Say that the answer is incomplete. The connection ends well, the stream does not: no `[DONE]`.

        An upstream that broke off with an error event has said so itself.
        """
        self._account.result = Result.BROKEN_OFF
        message = f"The stream from {self._account.upstream} broke off ({outcome.kind}); the answer is incomplete."
        self._reply.block(self._last_words or envelope.error_event(message, code="upstream_stream_broken"))
        self._reply.end()
        self._end(self._status)

    def _end(self, status: int) -> None:
        """The client has had all that it gets. What follows on its connection runs before this returns."""
        self._is_over = True
        if self._understudy is not None:
            self._dismiss()
        if self._resumption is not None:
            self._resumption.close()
        self._on_end(status)

    def _report(self, attempt: Attempt, outcome: Outcome) -> None:
        """An attempt's permit goes back and its end is told, once."""
        if attempt is self._attempt:
            self._attempt = None
        means, account = self._means, self._account
        pool, now = means.pool, means.now()
        began_at, first_at = attempt.began_at, attempt.first_content_at
        pool.report(attempt.key, attempt.permit, outcome, has_waited=first_at is None)
        if outcome is OK and first_at is None and now >= pool.lesson_at:
            pool.learn_answer(attempt.key, now - began_at, self._body)
        means.emit(
            AttemptEnded(
                account.request_id,
                attempt.key.upstream,
                attempt.start.number,
                outcome,
                now - began_at,
                first_at - began_at if first_at else None,
                attempt.upstream_request_id,
                attempt.key.model,
                attempt.phases,
            )
        )

    def _note_answer(self, attempt: Attempt) -> None:
        account, machine, start = self._account, self._machine, attempt.start
        account.upstream, account.model = start.candidate.upstream, start.candidate.model
        account.losses = start.candidate.losses
        if start.candidate.is_local and attempt.response is not None and attempt.response.has(_SHRUNK):
            account.losses = (*account.losses, Need.HISTORY)
        if machine is not None:
            account.tried = machine.tried

    def _fields_for_local(self, start: Start) -> Fields:
        """For the model server's queue: whose turn it is, and until when waiting makes sense."""
        seconds_left = start.limit_at - self._means.now()
        fields = [
            ("x-hotspare-client", self._account.client),
            ("x-hotspare-deadline-seconds", f"{max(seconds_left, 0.0):.3f}"),
        ]
        # Who asks for the local model by its name hears that a conversation is too long; who asked for a cloud gets
        # what can be had.
        stands_in = not self._plan.candidates[0].is_local
        return [*fields, ("x-hotspare-shrink", "1")] if stands_in else fields
