"""The circuit breaker of one (upstream, model): who may go there now, and who finds out whether it is well again.

    CLOSED ── a streak, or a bad ratio ─▶ OPEN ── cooldown over, first probe ─▶ HALF_OPEN
       ▲                                   ▲                                        │  │
       │                                   ├───────── a failure, longer cooldown ───┘  │
       │                                   └── a failure, longer cooldown ──┐          │
       └───────────────── time ──────────────────────────────────────── RAMPING ◀──────┘
                                                             `successes` in a row, one at a time

Rules
- Nobody asks for the state in order to act on it. One asks for a *permit*; the answer is a Permit or a Refusal.
- A permit carries the generation that it was given in, and every change of state starts a new generation, but for the
  end of a ramp, which is no news. A result that comes back under an old generation changes nothing: a request that was
  sent before the trip and limps home after it must neither close the breaker nor trip it twice.
- HALF_OPEN lets one permit out at a time. A permit that reported nothing (client gone, caller's error) frees the place
  and says nothing. One that shows its first content frees the place early, so that a stream of ten minutes does not
  hold up the recovery; its verdict still counts when it comes.
- When a background prober can reach the upstream (`is_probed`), the first permit after the cooldown is the prober's,
  so that no client's request is spent on finding out. Where it cannot (there is no key but the clients'), a client's
  request is the probe; the failover machine sends it elsewhere when it fails.
- RAMPING lets a growing share of the conversations in (core/ramp.py), and ends by time. It is a state of its own, for
  operators too: half open means that nobody knows yet, ramping that it is well and filling up.
- Suspect (core/suspicion.py) is no state: a breaker that is suspect lets everybody in.
- Where nobody else is left, leave is given although it is open (`force`): a refusal is a forecast, not a fact. Of an
  upstream that was silent, one such permit is out at a time. One client finds out whether it still is; the others hear
  at once that nobody can answer, instead of all waiting for the same silence.
- A pause (429 with Retry-After) is not a state. The upstream is well, it said when to come back, and it is believed.

Prior art: Nygard, Release It! (2007); Envoy outlier detection; resilience4j; linkerd2-proxy's consecutive-failures
and success-rate breakers, whose two signals are both used here because each is blind to what the other sees.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from proxy.core.backoff import Backoff
from proxy.core.impatience import Impatience
from proxy.core.outcome import Kind, Outcome, Weight
from proxy.core.ramp import FIRST, Ramp
from proxy.core.suspicion import MINIMUM, RATIO, Doubt, Suspicion
from proxy.core.window import Ratio, RatioWindow
from proxy.core.word import Word


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When to trip and when to trust again.

    consecutive: 3 hard failures in a row trip. Envoy takes 5, HAProxy 3. A sidecar sees one application's traffic, so
        5 would be seconds of hurt at a few requests a second; 2 is often one bad connection and its retry. Misses: an
        upstream that fails every second request, which is what the ratio is for.
    ratio, minimum, window: under half of at least 10 outcomes in 30 s. resilience4j's 100 calls would never fill in a
        sidecar. The outage of 2025-06-10 failed 25 % for hours: by design that does not trip, each such request is
        failed over on its own and three quarters go on being answered by the model that was asked for.
    cooldown, max_cooldown: 10 s doubling to 5 min. A restart or a roll-back takes tens of seconds; probing faster than
        that adds load to a service in trouble, and one lone success an hour into an outage is on record.
    successes: 2 in a row end the probing, for the same reason.
    ramp: everybody is back after 60 s. A failure on the way opens it again, for longer; but for a lone one among many
        (`_RAMP_RATIO`).
    """

    consecutive: int = 3
    ratio: float = 0.5
    minimum: int = 10
    window_seconds: float = 30.0
    cooldown_seconds: float = 10.0
    max_cooldown_seconds: float = 300.0
    successes: int = 2
    ramp_seconds: float = 60.0


MAX_PAUSE_SECONDS = 60.0
"""The longest Retry-After that is believed. Some clouds send hours for a daily quota; asking once a minute is cheap,
and being wrong about it for hours is not."""


_RAMP_RATIO = 0.95
"""Before its twentieth success in a window, any hard failure ends a ramp. After that it takes more than one in twenty:
a busy upstream that fails once in two hundred requests, as all do, would otherwise never come back."""


PRECEDENCE_SECONDS = 1.0
"""A breaker that opened because another worker's did stays open for so much longer, so that the worker that saw the
failures probes first and the others hear its verdict before they probe as well."""


class State(Word):
    """The three classical states and the way back; the values are metric labels."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    RAMPING = "ramping"


# Before Python 3.12 a member costs five times as much to reach through its class as through a name of its own.
_CLOSED = State.CLOSED
_RAMPING = State.RAMPING
_OK = Kind.OK
_SUCCESS, _NOTHING = Weight.SUCCESS, Weight.NOTHING

_SILENT = frozenset({Kind.CONNECT_TIMEOUT, Kind.FIRST_CONTENT_TIMEOUT, Kind.DEADLINE, Kind.SLOW})
"""Ends that took all of somebody's time. Every other failure is told at once."""

_LEFT = frozenset({Kind.CLIENT_GONE, Kind.CLIENT_DEADLINE})
"""How a wait ends that took the client too long."""


Place = Callable[[], float]
"""Says where the asking conversation stands, see core/ramp.py. Called only while that matters."""


def first() -> float:
    """The place of whoever has nowhere else to go, and so is let in from the beginning."""
    return FIRST


@dataclass(frozen=True, slots=True, eq=False)
class Permit:
    """Leave to send one request. Hand it back with `report`, exactly once.

    A closed or ramping breaker gives everybody the one permit of its generation; what a half-open one gives is unique.
    """

    generation: int
    breaker: "Breaker | None" = None
    """Where it goes back to."""


_FORCED = -1
UNCOUNTED = Permit(_FORCED)
"""For the panic rule, where there is no breaker that could learn from it."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """No leave; `retry_at` is the monotonic instant at which asking again may help."""

    retry_at: float


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of state and the outcome that caused it (None: the cooldown ran out)."""

    before: State
    after: State
    cause: Kind | None


class Breaker:
    """See the module's text. Every method takes the monotonic instant `now`; no method waits."""

    __slots__ = (
        "_backoff",
        "_closed_at",
        "_doubt",
        "_generation",
        "_impatience",
        "_is_probed",
        "_is_silent",
        "_is_uneasy",
        "_leave",
        "_lone_permit",
        "_open_until",
        "_paused_until",
        "_probe_at",
        "_ramp",
        "_settings",
        "_state",
        "_streak",
        "_successes",
        "_suspicion",
        "_window",
    )

    def __init__(self, settings: BreakerSettings, *, is_probed: bool, now: float) -> None:
        self._settings = settings
        self._is_probed = is_probed
        self._state = _CLOSED
        self._generation = 0
        self._leave = Permit(0, self)
        self._closed_at = now
        self._open_until = self._paused_until = now
        self._probe_at = -inf
        self._ramp = Ramp(now, settings.ramp_seconds)
        self._streak = self._successes = 0
        self._lone_permit: Permit | None = None
        self._is_silent = False
        self._window = RatioWindow(settings.window_seconds)
        self._suspicion = Suspicion()
        self._impatience = Impatience()
        self._is_uneasy = False  # whether one of these two has anything to hear of a success
        self._doubt: Doubt | None = None
        self._backoff = Backoff(settings.cooldown_seconds, settings.max_cooldown_seconds, settings.window_seconds)

    @property
    def state(self) -> State:
        """For reports. To act, ask for a permit."""
        return self._state

    @property
    def has_lone_failure(self) -> bool:
        """Closed, and one hard failure since the last success."""
        return self._state is _CLOSED and self._streak == 1

    @property
    def is_pristine(self) -> bool:
        """Closed with no streak: nothing is lost when such a breaker is forgotten."""
        return self._state is State.CLOSED and self._streak == 0

    def is_suspect(self, now: float) -> bool:
        """Whether it is ill, coming back, or of late in doubt. Cheap enough to be asked for every request."""
        return self._state is not _CLOSED or (self._is_uneasy and self._suspicion.is_on(now))

    def is_idle(self, now: float) -> bool:
        """Whether no request has ended within the window."""
        return self._window.ratio(now).outcomes == 0

    def take_doubt(self) -> Doubt | None:
        """Why it has become suspect, if that has to be told; told once."""
        doubt, self._doubt = self._doubt, None
        return doubt

    def acquire(self, now: float, place: Place = first) -> tuple[Permit | Refusal, Transition | None]:
        """A client's request asks for leave."""
        if self._state is _CLOSED and now >= self._paused_until:
            return self._leave, None
        if self._state is State.OPEN and self._is_probed:
            return Refusal(max(self._open_until, self._paused_until, now)), None
        return self._acquire(now, place)

    def acquire_probe(self, now: float) -> tuple[Permit | Refusal, Transition | None]:
        """The background prober asks for leave; it gets one only where somebody has to find out."""
        if self._state is _RAMPING:
            return Refusal(now), self._end_ramp(now)
        if self._state is _CLOSED:
            return Refusal(now), None
        if self._state is State.HALF_OPEN and now < self._probe_at:
            return Refusal(self._probe_at), None
        return self._acquire(now, first)

    def force(self, now: float) -> Permit | Refusal:
        """For the panic rule: leave in any case, but for the silence that somebody else is finding out about.

        It counts if the breaker is ramping, as then it is not open.
        """
        if self._state is _RAMPING:
            return self._leave
        if self._state is _CLOSED:
            return UNCOUNTED
        permit = Permit(_FORCED, self)
        if self._is_silent:
            if self._lone_permit:
                return Refusal(max(self._open_until, now))
            self._lone_permit = permit
        return permit

    def first_content(self, permit: Permit, now: float) -> None:
        """The attempt under `permit` gives content: the next one may try, the verdict on this one comes later."""
        self._free(permit)
        if self._is_uneasy and permit.generation == self._generation:
            self._impatience.served(now)

    def report(self, permit: Permit, outcome: Outcome, now: float, *, has_waited: bool = False) -> Transition | None:
        """Hand the permit back with how it ended. `has_waited`: until then the client had seen nothing of it."""
        if permit.generation != self._generation:
            if permit.generation == _FORCED:
                self._hear_forced(permit, outcome)
            return None
        if outcome.kind is _OK and self._state is _CLOSED:  # as nearly always
            self._streak = 0
            self._window.succeed(now)
            if self._is_uneasy:
                self._relax(now, has_waited=has_waited)
            return None
        self._free(permit)
        weight = outcome.weight
        if weight is _NOTHING:
            if has_waited and outcome.kind in _LEFT:
                self._note_departure(now)
            # A probe that learnt nothing (400, say) would learn nothing a moment later either.
            self._probe_at = now + self._settings.cooldown_seconds
            return None
        if weight is not _SUCCESS and outcome.retry_after_seconds is not None:
            self._paused_until = now + min(outcome.retry_after_seconds, MAX_PAUSE_SECONDS)
        if self._state is State.HALF_OPEN:
            return self._judge_recovery(outcome, now)
        return self._judge_health(outcome, weight, now)

    def _free(self, permit: Permit) -> None:
        if permit is self._lone_permit:
            self._lone_permit = None
            self._is_silent = False

    def _hear_forced(self, permit: Permit, outcome: Outcome) -> None:
        """It says nothing about the upstream's health, as nobody was to go there; but it says whether to wait."""
        if permit is self._lone_permit:
            self._lone_permit = None
        if outcome.is_answer or outcome.weight is not _NOTHING:
            self._is_silent = outcome.kind in _SILENT

    def _acquire(self, now: float, place: Place) -> tuple[Permit | Refusal, Transition | None]:
        wait_until = max(self._open_until if self._state is State.OPEN else now, self._paused_until)
        if now < wait_until:
            return Refusal(wait_until), None
        if self._state is _RAMPING:
            return self._acquire_ramping(now, place)
        transition = self._enter(State.HALF_OPEN, None) if self._state is State.OPEN else None
        if self._state is _CLOSED:
            return self._leave, transition
        if self._lone_permit:
            return Refusal(now), transition
        self._lone_permit = Permit(self._generation, self)
        return self._lone_permit, transition

    def _acquire_ramping(self, now: float, place: Place) -> tuple[Permit | Refusal, Transition | None]:
        if transition := self._end_ramp(now):
            return self._leave, transition
        admitted_at = self._ramp.admits_at(place())
        return (self._leave if now >= admitted_at else Refusal(admitted_at)), None

    def _end_ramp(self, now: float) -> Transition | None:
        """What is out keeps its generation, and what was counted stays: nobody's opinion has changed."""
        if now < self._ramp.ends_at:
            return None
        self._closed_at = now
        self._state = _CLOSED
        return Transition(_RAMPING, _CLOSED, None)

    def _judge_health(self, outcome: Outcome, weight: Weight, now: float) -> Transition | None:
        success = weight is _SUCCESS
        self._window.add(success=success, now=now)
        if success:
            self._streak = 0
            self._suspicion.succeed()
            return None
        self._streak += weight is Weight.HARD
        seen = self._window.ratio(now)
        self._suspect(weight, seen, now)
        return self._trip(outcome, now) if self._is_ill(weight, seen) else None

    def _suspect(self, weight: Weight, seen: Ratio, now: float) -> None:
        if weight is Weight.HARD:
            self._arise(Doubt.FAILURE, now)
        elif seen.outcomes >= MINIMUM and seen.success_ratio < RATIO:
            self._arise(Doubt.RATIO, now)

    def _note_departure(self, now: float) -> None:
        self._is_uneasy = True
        if self._impatience.left(now):
            self._arise(Doubt.IMPATIENCE, now)

    def _arise(self, doubt: Doubt, now: float) -> None:
        self._is_uneasy = True
        if self._suspicion.arise(now):
            self._doubt = doubt

    def _relax(self, now: float, *, has_waited: bool) -> None:
        self._suspicion.succeed()
        if has_waited:
            self._impatience.served(now)
        self._is_uneasy = self._suspicion.is_on(now) or bool(self._impatience)

    def _is_ill(self, weight: Weight, seen: Ratio) -> bool:
        if self._streak >= self._settings.consecutive:
            return True
        if self._state is _RAMPING and weight is Weight.HARD and seen.success_ratio < _RAMP_RATIO:
            return True
        return seen.outcomes >= self._settings.minimum and seen.success_ratio < self._settings.ratio

    def _judge_recovery(self, outcome: Outcome, now: float) -> Transition | None:
        if outcome.weight is not Weight.SUCCESS:
            return self._trip(outcome, now)
        self._successes += 1
        if self._successes < self._settings.successes:
            return None
        return self._begin_ramp(outcome.kind, now)

    def _begin_ramp(self, cause: Kind | None, now: float) -> Transition:
        self._ramp = Ramp(now, self._settings.ramp_seconds)
        return self._enter(_RAMPING, cause)

    def _trip(self, outcome: Outcome, now: float) -> Transition:
        self._open_until = now + self._backoff.wait_seconds(self._healthy_seconds(now))
        self._is_silent = outcome.kind in _SILENT
        return self._enter(State.OPEN, outcome.kind)

    def _healthy_seconds(self, now: float) -> float:
        """A ramp is not health yet."""
        return now - self._closed_at if self._state is _CLOSED else 0.0

    def _enter(self, state: State, cause: Kind | None) -> Transition:
        transition = Transition(self._state, state, cause)
        self._state = state
        self._generation += 1
        self._leave = Permit(self._generation, self)
        self._streak = self._successes = 0
        self._lone_permit = None
        self._probe_at = -inf
        self._window.clear()
        return transition

    # What other workers of this proxy saw. It brings about no Transition: whoever saw it has told of it.

    def open_seconds(self, now: float) -> float:
        """For how long it is still open; 0 if it is not."""
        return max(self._open_until - now, 0.0) if self._state is State.OPEN else 0.0

    def adopt_opened(self, seconds: float, now: float) -> None:
        """Another worker's breaker opened for `seconds`: this one does too, and waits for the other's probe."""
        if self._state is not State.OPEN:
            # In step with the other's record, should this worker be the one to probe next time.
            self._backoff.wait_seconds(self._healthy_seconds(now))
            self._enter(State.OPEN, None)
        self._open_until = max(self._open_until, now + seconds + PRECEDENCE_SECONDS)

    def adopt_recovery(self, now: float) -> None:
        """Another worker has found out that all is well again: everybody comes back to this one too."""
        if self._state is State.OPEN or self._state is State.HALF_OPEN:
            self._begin_ramp(None, now)

    def adopt_failure(self, now: float) -> None:
        """A hard failure elsewhere lengthens the streak, so that N workers trip after three failures, not three each.

        It does not trip by itself: the next failure here does, or the other worker's own.
        """
        if self._state is _CLOSED:
            self._streak += 1
            self._is_uneasy = True
            self._suspicion.arise(now)

    def adopt_success(self) -> None:
        """A success elsewhere ends the streak, as one here would: else the failures of N workers would add up over
        the successes between them, and lone failures would trip."""
        if self._state is _CLOSED:
            self._streak = 0
            self._suspicion.succeed()
