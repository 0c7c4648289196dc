"""One request's way through its candidates: facts in, actions out.

    begin ─▶ Start ──▶ refused ───────────────────▶ Start the next │ GiveUp
                  ├──▶ ended, with an answer ─────▶ Finish
                  ├──▶ ended, otherwise ──────────▶ Start the next │ GiveUp
                  └──▶ content ─▶ Commit ─▶ ended ▶ Finish │ Start one who can go on │ BreakOff

The driver (server/drive.py) performs one action, then tells the machine what came of it. Until Commit nothing has been
sent to the client, so every failure is silent. After it the client holds half an answer: whoever comes next has to go
on behind it. Only candidates that know how are asked, and when none is left BreakOff says so.

A lone 500, 502 or 503 of an upstream that was well until now is asked again once, a moment later: it is the answer of
one server among thousands, and the client asked for that model. A budget bounds how often. A local model that is
ready, and next, does not wait for that moment: it begins as the understudy (below) at the failure, so that a second one
costs no time.

An upstream that is silent for long gets an understudy: the local model starts beside it, and its answer is kept back.
The client asked for the other one, which has until its limit to answer. When it fails, or its time is over, the
understudy takes its place with all that it has said by then, so that the wait was not for nothing. An upstream that is
suspect gets one at once, and its unstreamed answers have less time.

    Start ─▶ overdue ─▶ Start(is_hedge) ─▶ hedge_shows ─┬─ the first one shows content ─▶ Commit, drop the understudy
                                                        └─ it fails, or has to yield ───▶ Promote the understudy

One deadline bounds everything up to the commit. Part of it is kept back for the local model: a cloud that is silent to
the end must not take with it the time in which the local model would have answered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from math import inf

import msgspec

from proxy.core.action import (
    FINISH,
    HEDGE_SHARE,
    LOOK_SECONDS,
    PROMOTE,
    WAIT,
    Action,
    BreakOff,
    Commit,
    GiveUp,
    Start,
    Timeouts,
    Tried,
)
from proxy.core.breaker import Refusal
from proxy.core.candidates import Candidate
from proxy.core.outcome import Kind, Outcome

DEFAULT_RETRY_AFTER_SECONDS = 5.0
"""When nothing says when. About the time in which a killed model server is back."""

_FIRST_CONTENT_TIMEOUT = Kind.FIRST_CONTENT_TIMEOUT
_PASSING = frozenset({500, 502, 503})
"""What one server of many says that is being replaced or has stumbled."""
_WORTH_REPEATING = frozenset({Kind.CONNECT, Kind.RESET, Kind.CUT})


class Turn(Enum):
    """What has become of the local model's turn as the understudy."""

    TO_COME = "nobody has needed one"
    RUNS = "it has nothing to show yet"
    SHOWS = "it has content, or its whole answer"
    OVER = "it failed, was dropped, or has taken over: the local model has been asked"
    DIED = "its process died under it: the local model may be asked once more, not beside anybody"


_STANDS_BY = frozenset({Turn.RUNS, Turn.SHOWS})
_CAN_BE_ASKED = frozenset({Turn.TO_COME, Turn.DIED})


class Opening:
    """All that the machines of like requests have in common, and with it their first decision.

    That depends on nothing but what is here and the time, so it is taken once: `begin` says it for a request that
    begins now. A machine is made, and told so, only when something goes otherwise than well.
    """

    __slots__ = ("_first", "deadline_seconds", "make")

    def __init__(
        self,
        candidates: Sequence[Candidate],
        timeouts: Mapping[str, Timeouts],
        *,
        is_stream: bool,
        deadline_seconds: float,
        deadline_kind: Kind,
        local_reserve_seconds: float,
        hedges: bool = False,
    ) -> None:
        self.deadline_seconds = deadline_seconds

        def make(began_at: float) -> Failover:
            return Failover(
                candidates,
                timeouts,
                is_stream=is_stream,
                deadline_at=began_at + deadline_seconds,
                deadline_kind=deadline_kind,
                local_reserve_seconds=local_reserve_seconds,
                hedges=hedges,
            )

        self.make = make
        """A machine for a request that began then, at its beginning."""
        self._first = make(0.0).begin(0.0)

    def begin(self, now: float) -> Action:
        """What `Failover.begin` would say."""
        first = self._first
        if not isinstance(first, Start):  # GiveUp, which names no instant
            return first
        return Start(
            first.candidate,
            1,
            first.connect_seconds,
            first.limit_at + now,
            first.stall_seconds,
            first.late_kind,
            begin_at=now,
            latest_at=first.latest_at + now,
            latest_kind=first.latest_kind,
            hedge_at=first.hedge_at + now,
            answer_seconds=first.answer_seconds,
            yield_at=first.yield_at + now,
        )


@dataclass(slots=True, eq=False)
class Failover:
    """See the module's text. Ask `begin` once, then report facts until the action is Finish, BreakOff or GiveUp."""

    candidates: Sequence[Candidate]
    timeouts: Mapping[str, Timeouts]
    is_stream: bool
    deadline_at: float
    deadline_kind: Kind
    local_reserve_seconds: float
    hedges: bool = False
    """Whether the local model may start beside a silent upstream."""
    tried: tuple[Tried, ...] = ()
    """Who did not answer so far, in order."""
    _begun: int = 0
    """How many of the candidates have had their turn."""
    _running: Start | None = None
    _hedge: Start | None = None
    """The understudy's."""
    _turn: Turn = Turn.TO_COME
    _must_yield: bool = False
    """The time of whoever runs is over as soon as the understudy shows something."""
    _again: Candidate | None = None
    """The candidate whose turn comes once more."""
    _begin_at: float = 0.0
    """When that is."""
    _is_local_ready: bool = False
    """Whether an understudy could begin before that."""
    _refused: Sequence[Candidate] = ()
    _retry_at: tuple[float, ...] = ()
    _broken: Outcome | None = None
    """How the stream that the client sees has ended last."""
    _is_committed: bool = False
    _has_panicked: bool = False
    _has_repeated: bool = False
    attempts: int = 0
    """How many exchanges were started."""

    def begin(self, now: float) -> Action:
        """The request has been accepted and planned."""
        return self._next(now)

    def refused(self, refusal: Refusal, now: float) -> Action:
        """The breaker gave no permit for what was to start."""
        start = self._take_running()
        self.attempts -= 1
        self._retry_at += (refusal.retry_at,)
        if not start.is_forced:
            self._refused = (*self._refused, start.candidate)
            self._note(start.candidate, Kind.BREAKER_OPEN)
        return self._next(now)

    def content(self) -> Action:
        """The running attempt shows its first content. Of an understudy nothing is needed any more."""
        self._is_committed = True
        self._turn = Turn.OVER
        return Commit()

    def overdue(self, now: float) -> Action:
        """The running attempt is silent, and it is past its `hedge_at`."""
        local = self._find_understudy()
        if local is None or self._running is None:
            return WAIT
        start = self._start(local, now, is_hedge=True)
        if start.limit_at <= now:
            return WAIT
        self._hedge, self._turn = start, Turn.RUNS
        self.attempts += 1
        return start

    def must_yield(self) -> Action:
        """The running attempt is past its `yield_at`."""
        self._must_yield = True
        return self._promote(Kind.SLOW) if self._turn is Turn.SHOWS else WAIT

    def hedge_shows(self) -> Action:
        """The understudy has content, or its whole answer."""
        self._turn = Turn.SHOWS
        return self._promote(Kind.SLOW) if self._must_yield else WAIT

    def hedge_failed(self, kind: Kind, status: int | None = None) -> Action:
        """There will be nothing from the understudy."""
        if self._hedge is not None:
            self._note(self._hedge.candidate, kind, status)
        self._turn = Turn.OVER
        if kind in _WORTH_REPEATING and not self._has_repeated:  # as in `_is_worth_repeating`
            self._has_repeated, self._turn = True, Turn.DIED
        return WAIT

    def is_passing(self, outcome: Outcome) -> bool:
        """Whether the running attempt, if it ends like this, is worth a second try at the same upstream."""
        start = self._running
        is_first = start is not None and not start.candidate.is_local and not start.is_forced
        is_bare = outcome.status in _PASSING and outcome.retry_after_seconds is None
        is_bare = is_bare and not self._is_committed and not self._has_repeated
        return is_first and is_bare and self._turn is not Turn.SHOWS

    def ended(
        self,
        outcome: Outcome,
        now: float,
        *,
        can_go_on: bool = True,
        retry_after_seconds: float | None = None,
        is_local_ready: bool = False,
    ) -> Action:
        """The running attempt is over.

        Args:
            outcome: how it ended.
            now: when.
            can_go_on: what the client has by now is something to go on behind.
            retry_after_seconds: how long to wait before the same upstream is asked again; None if it may not be.
            is_local_ready: the local model could begin within that time.

        """
        start = self._take_running()
        self._has_panicked |= start.is_forced
        if outcome.is_answer and not self._is_unfit(start, outcome):
            return FINISH
        self._broken = outcome
        if self._is_committed and not can_go_on:
            return BreakOff(outcome)
        self._note(start.candidate, outcome.kind, outcome.status)
        if outcome.retry_after_seconds is not None:
            self._retry_at += (now + outcome.retry_after_seconds,)
        if retry_after_seconds is not None or self._is_worth_repeating(start, outcome):
            self._has_repeated = True
            self._again = start.candidate
            self._begin_at = now + (retry_after_seconds or 0.0)
            self._is_local_ready = is_local_ready
        return self._promote() if self._turn is Turn.SHOWS else self._next(now)

    def _is_worth_repeating(self, start: Start, outcome: Outcome) -> bool:
        """The local model's process died under the request. Its supervisor starts another at once, and there is nobody
        else to ask; once, because a request that kills it twice would kill it again."""
        is_possible = start.candidate.is_local and (not self._is_committed or start.candidate.prefill is not None)
        return is_possible and outcome.kind in _WORTH_REPEATING and not self._has_repeated

    def _is_unfit(self, start: Start, outcome: Outcome) -> bool:
        """Nor is a refusal to go on behind half an answer one that the caller could do anything about.

        A request that was meant for a cloud and is too much for the small model that stands in (too long, say) is no
        mistake of the caller's. A 400 would tell it never to try again; what it should hear is that the cloud is down.
        """
        if outcome.kind is not Kind.CALLER_ERROR:
            return False
        return start.is_resuming or (bool(self.tried) and start.candidate.is_local)

    def _note(self, candidate: Candidate, kind: Kind, status: int | None = None) -> None:
        self.tried += (Tried(candidate.upstream, kind, status, candidate.model),)

    def _take_running(self) -> Start:
        if self._running is None:
            raise RuntimeError("a fact came in while nothing was running")
        start, self._running = self._running, None
        return start

    def _next(self, now: float) -> Action:
        while candidate := self._take_candidate():
            begin_at, self._begin_at = max(self._begin_at, now), 0.0
            start = self._start(candidate, begin_at)
            if start.limit_at > begin_at:
                if begin_at > now and self._is_local_ready and start.hedge_at < inf and self._is_local_next:
                    start = msgspec.structs.replace(start, hedge_at=now)
                self._running = start
                self.attempts += 1
                return start
            self._note(candidate, self.deadline_kind)
        if self._turn in _STANDS_BY:
            return self._promote()
        return BreakOff(self._broken) if self._is_committed and self._broken else self._panic(now)

    @property
    def _is_local_next(self) -> bool:
        """Whether no other cloud has its turn before. One that is well answers, be the local model quicker or not."""
        return any(candidate.is_local for candidate in self.candidates[self._begun : self._begun + 1])

    def _take_candidate(self) -> Candidate | None:
        if self._again is not None:
            candidate, self._again = self._again, None
            return candidate
        while self._begun < len(self.candidates):
            self._begun += 1
            candidate = self.candidates[self._begun - 1]
            if candidate.is_local and not self._is_committed and self._turn not in _CAN_BE_ASKED:
                continue
            if not self._is_committed or candidate.prefill:
                return candidate
        return None

    def _find_understudy(self) -> Candidate | None:
        if self._turn is not Turn.TO_COME or self._is_committed:
            return None
        return next((candidate for candidate in self.candidates[self._begun :] if candidate.is_local), None)

    def _promote(self, kind: Kind | None = None) -> Action:
        """`kind`: how the attempt is called that still runs."""
        if self._running is not None and kind is not None:
            self._note(self._running.candidate, kind)
        self._running, self._turn = self._hedge, Turn.OVER
        return PROMOTE

    def _panic(self, now: float) -> Action:
        """Everyone who was asked failed. A breaker's refusal is a forecast, not a fact: try the best one refused.

        The breaker of one that is known to be silent may refuse even that. Then the next one is tried.
        """
        if self._refused and not self._has_panicked and now < self.deadline_at:
            best, *self._refused = self._refused
            self._running = start = self._start(best, now, is_forced=True)
            self.attempts += 1
            return start
        return GiveUp(self.tried, self._retry_after_seconds(now))

    def _start(self, candidate: Candidate, now: float, *, is_forced: bool = False, is_hedge: bool = False) -> Start:
        timeouts = self.timeouts[candidate.upstream]
        if self._is_committed:
            return self._resume(candidate, timeouts, now)
        limit_at, late_kind = self.deadline_at, self.deadline_kind
        has_reserve = not candidate.is_local and any(other.is_local for other in self.candidates[self._begun :])
        if has_reserve:
            limit_at -= self.local_reserve_seconds
        latest_at = limit_at
        if self.is_stream and now + timeouts.first_content_seconds < limit_at:
            limit_at, late_kind = now + timeouts.first_content_seconds, _FIRST_CONTENT_TIMEOUT
        return Start(
            candidate,
            self.attempts + 1,
            timeouts.connect_seconds,
            limit_at,
            timeouts.stall_seconds,
            late_kind,
            is_forced,
            is_hedge=is_hedge,
            begin_at=now,
            latest_at=latest_at,
            latest_kind=self.deadline_kind,
            hedge_at=self._odd_at(now, timeouts, latest_at) if self.hedges and has_reserve else inf,
            answer_seconds=inf if self.is_stream else timeouts.answer_seconds,
        )

    def _odd_at(self, now: float, timeouts: Timeouts, latest_at: float) -> float:
        """When silence is odd. Of a stream after a part of what is too much. An unstreamed answer is silent by nature:
        when it can be, which `action.reconsidered` is asked about then.
        """
        if self.is_stream:
            return now + timeouts.first_content_seconds / HEDGE_SHARE
        return min(now + LOOK_SECONDS, latest_at - (latest_at - now) / HEDGE_SHARE)

    def _resume(self, candidate: Candidate, timeouts: Timeouts, now: float) -> Start:
        """The deadline was for the first content, which the client has."""
        return Start(
            candidate,
            self.attempts + 1,
            timeouts.connect_seconds,
            now + timeouts.first_content_seconds,
            timeouts.stall_seconds,
            _FIRST_CONTENT_TIMEOUT,
            is_resuming=True,
            begin_at=now,
        )

    def _retry_after_seconds(self, now: float) -> float:
        soonest = min((at - now for at in self._retry_at), default=DEFAULT_RETRY_AFTER_SECONDS)
        return min(max(soonest, 1.0), 60.0)
