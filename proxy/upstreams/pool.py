"""The live upstreams and their health, under one clock. Everybody who sends, asks here for leave and reports back."""

from collections.abc import Iterator, Mapping
from math import inf

from proxy.clock import Clock
from proxy.core.answer_time import LESSON_SECONDS
from proxy.core.breaker import Permit, Place, Refusal, State, Transition, first
from proxy.core.health import Health, Key, Urgency
from proxy.core.outcome import OK, Outcome
from proxy.core.patience import LONG_PROMPT_BYTES
from proxy.core.suspicion import Doubt
from proxy.telemetry.events import BreakerChanged, Emit, UpstreamSuspected
from proxy.upstreams.upstream import Upstream
from proxy.wire.allowance import allowed_tokens


class Pool:
    """Owner of the upstreams and of their breakers."""

    def __init__(self, upstreams: Mapping[str, Upstream], health: Health, clock: Clock, emit: Emit) -> None:
        self._upstreams = upstreams
        self._health = health
        self._clock = clock
        self._emit = emit
        self.lesson_at = -inf
        """From this monotonic instant on `learn_answer` wants to hear of the next whole answer."""

    def __getitem__(self, name: str) -> Upstream:
        return self._upstreams[name]

    def __iter__(self) -> Iterator[Upstream]:
        return iter(self._upstreams.values())

    def acquire(self, key: Key, endpoint: str, place: Place = first, *, is_forced: bool = False) -> Permit | Refusal:
        """Ask leave for a client's request; one that is forced nearly always gets it, see `Breaker.force`.

        `place` says where its conversation stands among those that come back to an upstream (core/ramp.py); `first`
        lets it in at once, for want of anybody else to ask.
        """
        if is_forced:
            return self._health.force(key, self._clock.monotonic())
        answer, transition = self._health.acquire(key, endpoint, self._clock.monotonic(), place)
        if transition:
            self._publish(key, transition)
        return answer

    def acquire_probe(self, key: Key) -> Permit | Refusal:
        """Ask leave for a probe."""
        answer, transition = self._health.acquire_probe(key, self._clock.monotonic())
        if transition:
            self._publish(key, transition)
        return answer

    def first_content(self, permit: Permit) -> None:
        """The exchange under `permit` gives content."""
        if permit.breaker is not None:
            permit.breaker.first_content(permit, self._clock.monotonic())

    def report(self, key: Key, permit: Permit, outcome: Outcome, *, has_waited: bool = False) -> None:
        """The exchange under `permit` ended. `has_waited`: until then the client had seen nothing of it."""
        breaker = permit.breaker
        if breaker is None:
            return
        transition = breaker.report(permit, outcome, self._clock.monotonic(), has_waited=has_waited)
        if transition:
            self._publish(key, transition)
        if outcome is not OK and (doubt := breaker.take_doubt()):
            self._emit(UpstreamSuspected(key.upstream, key.model, doubt))

    def learn(self, key: Key, seconds: float, body_bytes: int) -> None:
        """A stream's first content came so long after its request, which had a body of so many bytes."""
        self._health.learn(key, seconds, self._clock.monotonic(), is_long=body_bytes > LONG_PROMPT_BYTES)

    def learn_answer(self, key: Key, seconds: float, body: bytes) -> None:
        """A whole answer came so long after its request, which had that body. Call it where `lesson_at` has passed."""
        if len(body) <= LONG_PROMPT_BYTES:
            now = self._clock.monotonic()
            self.lesson_at = now + LESSON_SECONDS
            self._health.learn_answer(key, seconds, allowed_tokens(body), now)

    def usual_answer_seconds(self, key: Key, body: bytes) -> float | None:
        """By then 95 of 100 answers to such a request are there; None where that is not known."""
        if len(body) > LONG_PROMPT_BYTES:
            return None
        return self._health.usual_answer_seconds(key, allowed_tokens(body), self._clock.monotonic())

    def limit_seconds(self, key: Key, body_bytes: int) -> float | None:
        """How long the first content of a stream is to be waited for whose request has a body of so many bytes, see
        core/patience.py. None where that is fixed: `Timeouts` says it."""
        return self._health.limit_seconds(key, self._clock.monotonic(), is_long=body_bytes > LONG_PROMPT_BYTES)

    def is_suspect(self, key: Key) -> bool:
        """Whether the upstream should be watched, see core/suspicion.py. Cheap enough to be asked for every request."""
        return self._health.is_suspect(key, self._clock.monotonic())

    def is_lone_failure(self, permit: Permit) -> bool:
        """Whether the failure that was reported last under `permit` is the only one since the last success."""
        return permit.breaker is not None and permit.breaker.has_lone_failure

    def ill(self) -> list[tuple[Key, str]]:
        """Every (upstream, model) that a probe should look at, with the endpoint it was last asked on."""
        return list(self._health.ill())

    def wants_check(self, upstream: str) -> Urgency:
        """Whether an active check of it is worth anything now."""
        return self._health.wants_check(upstream, self._clock.monotonic())

    def checked(self, upstream: str, *, is_red: bool) -> None:
        """An active check ended so."""
        if self._health.checked(upstream, self._clock.monotonic(), is_red=is_red):
            self._emit(UpstreamSuspected(upstream, "", Doubt.CHECK))

    def states(self) -> Mapping[str, Mapping[State, int]]:
        """How many breakers of each upstream are in which state."""
        return {name: self._health.states(name) for name in self._upstreams}

    async def close(self) -> None:
        """Close every upstream's connections."""
        for upstream in self:
            await upstream.close()

    def _publish(self, key: Key, transition: Transition) -> None:
        before, after, cause = transition.before, transition.after, transition.cause
        open_seconds = self.open_seconds(key) if after is State.OPEN else None
        self._emit(BreakerChanged(key.upstream, key.model, before, after, cause, open_seconds))

    # What other workers of this proxy saw. It is acted on and not published: whoever saw it has done that.

    def endpoint(self, key: Key) -> str | None:
        """The path that was last asked for `key`; None if it has no breaker."""
        return self._health.endpoint(key)

    def open_seconds(self, key: Key) -> float:
        """For how long the breaker of `key` is still open; 0 if it is not."""
        return self._health.open_seconds(key, self._clock.monotonic())

    def adopt_opened(self, key: Key, endpoint: str, open_seconds: float) -> None:
        """Another worker's breaker opened for so long."""
        self._health.adopt_opened(key, endpoint, open_seconds, self._clock.monotonic())

    def adopt_recovery(self, key: Key) -> None:
        """Another worker found the upstream to be well again."""
        self._health.adopt_recovery(key, self._clock.monotonic())

    def adopt_failure(self, key: Key, endpoint: str) -> None:
        """An attempt of another worker's ended in a hard failure."""
        self._health.adopt_failure(key, endpoint, self._clock.monotonic())

    def adopt_success(self, key: Key) -> None:
        """Another worker had the first success since the last failure."""
        self._health.adopt_success(key)
