"""The live upstreams and their health, under one clock. Everybody who sends, asks here for leave and reports back."""

from collections.abc import Iterator, Mapping

from proxy.clock import Clock
from proxy.core.breaker import UNCOUNTED, Permit, Refusal, State, Transition
from proxy.core.health import Health, Key
from proxy.core.outcome import Outcome
from proxy.telemetry.events import BreakerChanged, Emit
from proxy.upstreams.upstream import Upstream


class Pool:
    """Owner of the upstreams and of their breakers."""

    def __init__(self, upstreams: Mapping[str, Upstream], health: Health, clock: Clock, emit: Emit) -> None:
        self._upstreams = upstreams
        self._health = health
        self._clock = clock
        self._emit = emit

    def __getitem__(self, name: str) -> Upstream:
        return self._upstreams[name]

    def __iter__(self) -> Iterator[Upstream]:
        return iter(self._upstreams.values())

    def acquire(self, key: Key, endpoint: str, *, is_forced: bool = False) -> Permit | Refusal:
        """Ask leave for a client's request; one that is forced always gets it, and counts for nothing."""
        if is_forced:
            return UNCOUNTED
        answer, transition = self._health.acquire(key, endpoint, self._clock.monotonic())
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
            permit.breaker.first_content(permit)

    def report(self, key: Key, permit: Permit, outcome: Outcome) -> None:
        """The exchange under `permit` ended."""
        if permit.breaker is None:
            return
        if transition := permit.breaker.report(permit, outcome, self._clock.monotonic()):
            self._publish(key, transition)

    def ill(self) -> list[tuple[Key, str]]:
        """Every (upstream, model) that a probe should look at, with the endpoint it was last asked on."""
        return list(self._health.ill())

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

    def adopt_closed(self, key: Key) -> None:
        """Another worker's breaker closed."""
        self._health.adopt_closed(key, self._clock.monotonic())

    def adopt_failure(self, key: Key, endpoint: str) -> None:
        """An attempt of another worker's ended in a hard failure."""
        self._health.adopt_failure(key, endpoint, self._clock.monotonic())

    def adopt_success(self, key: Key) -> None:
        """Another worker had the first success since the last failure."""
        self._health.adopt_success(key)
