"""The live upstreams and their health, under one clock. Everybody who sends, asks here for leave and reports back."""

from collections.abc import Iterator, Mapping
from contextlib import suppress

from proxy.clock import Clock
from proxy.core.breaker import UNCOUNTED, Permit, Refusal, State, Transition
from proxy.core.failover import Start
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

    def acquire(self, start: Start, endpoint: str) -> Permit | Refusal:
        """Ask leave for what the failover machine wants to start."""
        if start.is_forced:
            return UNCOUNTED
        key = Key(start.candidate.upstream, start.candidate.model)
        answer, transition = self._health.acquire(key, endpoint, self._clock.monotonic())
        self._publish(key, transition)
        return answer

    def acquire_probe(self, key: Key) -> Permit | Refusal:
        """Ask leave for a probe."""
        answer, transition = self._health.acquire_probe(key, self._clock.monotonic())
        self._publish(key, transition)
        return answer

    def first_content(self, key: Key, permit: Permit) -> None:
        """The exchange under `permit` gives content."""
        self._health.first_content(key, permit)

    def report(self, key: Key, permit: Permit, outcome: Outcome) -> None:
        """The exchange under `permit` ended."""
        self._publish(key, self._health.report(key, permit, outcome, self._clock.monotonic()))

    def ill(self) -> list[tuple[Key, str]]:
        """Every (upstream, model) that a probe should look at, with the endpoint it was last asked on."""
        return list(self._health.ill())

    def states(self) -> Mapping[str, Mapping[State, int]]:
        """How many breakers of each upstream are in which state."""
        return {name: self._health.states(name) for name in self._upstreams}

    async def close(self) -> None:
        """Close every upstream's connections."""
        for upstream in self:
            with suppress(OSError):
                await upstream.close()

    def _publish(self, key: Key, transition: Transition | None) -> None:
        if transition:
            self._emit(BreakerChanged(key.upstream, key.model, transition.before, transition.after, transition.cause))
