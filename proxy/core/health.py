"""The breakers of all upstreams, one for each (upstream, model): a cloud can lose one model and keep the others.

Owner of every breaker. Model names come from clients, so their number is bounded: the least recently used healthy
breaker is forgotten first, an ill one only when all are ill.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from proxy.core.breaker import UNCOUNTED, Breaker, BreakerSettings, Permit, Refusal, State, Transition

MAX_MODELS = 256
"""Breakers kept for each upstream. OpenAI lists about 100 models; a client that invents names gains nothing."""


class Key(msgspec.Struct, frozen=True, gc=False):
    """What a breaker guards."""

    upstream: str
    model: str


@dataclass(frozen=True, slots=True)
class HealthPolicy:
    """How an upstream's breakers are made. `is_probed`: a background probe can reach it without a client's key."""

    breaker: BreakerSettings
    is_probed: bool


@dataclass(slots=True)
class _Record:
    breaker: Breaker
    endpoint: str


class Health:
    """Permits in, reports out. An upstream without a policy (the supervised local model) is always permitted:
    its supervisor knows first-hand whether it runs, and refusing the last resort protects nobody."""

    def __init__(self, policies: Mapping[str, HealthPolicy]) -> None:
        self._policies = policies
        self._records: dict[str, OrderedDict[str, _Record]] = {name: OrderedDict() for name in policies}

    def acquire(self, key: Key, endpoint: str, now: float) -> tuple[Permit | Refusal, Transition | None]:
        """A client's request to `endpoint` (a path below /v1) asks for leave."""
        records = self._records.get(key.upstream)
        if records is None:
            return UNCOUNTED, None
        record = records.get(key.model)
        if record is None:
            record = self._add(key, endpoint, now)
        record.endpoint = endpoint
        records.move_to_end(key.model)  # the least recently used stands first
        return record.breaker.acquire(now)

    def acquire_probe(self, key: Key, now: float) -> tuple[Permit | Refusal, Transition | None]:
        """The prober asks for leave."""
        record = self._find(key)
        return record.breaker.acquire_probe(now) if record else (Refusal(now), None)

    def ill(self) -> Iterator[tuple[Key, str]]:
        """What a prober should ask leave for: every (upstream, model) that is not closed, with its last endpoint."""
        for upstream, records in self._records.items():
            if not self._policies[upstream].is_probed:
                continue
            for model, record in list(records.items()):
                if record.breaker.state is not State.CLOSED:
                    yield Key(upstream, model), record.endpoint

    def states(self, upstream: str) -> Counter[State]:
        """How many of the upstream's breakers are in which state."""
        records = self._records.get(upstream)
        return Counter(record.breaker.state for record in records.values()) if records else Counter()

    def _find(self, key: Key) -> _Record | None:
        records = self._records.get(key.upstream)
        return records.get(key.model) if records else None

    def _add(self, key: Key, endpoint: str, now: float) -> _Record:
        records = self._records[key.upstream]
        self._make_room(records)
        policy = self._policies[key.upstream]
        breaker = Breaker(policy.breaker, is_probed=policy.is_probed, now=now)
        record = records[key.model] = _Record(breaker, endpoint)
        return record

    def _touch(self, key: Key, endpoint: str, now: float) -> _Record:
        record = self._find(key) or self._add(key, endpoint, now)
        record.endpoint = endpoint
        self._records[key.upstream].move_to_end(key.model)
        return record

    @staticmethod
    def _make_room(records: OrderedDict[str, _Record]) -> None:
        if len(records) < MAX_MODELS:
            return
        oldest_pristine = (model for model, record in records.items() if record.breaker.is_pristine)
        del records[next(oldest_pristine, next(iter(records)))]

    # What other workers of this proxy saw.

    def endpoint(self, key: Key) -> str | None:
        """The path that was last asked for `key`; None if it has no breaker."""
        record = self._find(key)
        return record.endpoint if record else None

    def open_seconds(self, key: Key, now: float) -> float:
        """For how long the breaker of `key` is still open; 0 if it is not."""
        record = self._find(key)
        return record.breaker.open_seconds(now) if record else 0.0

    def adopt_opened(self, key: Key, endpoint: str, seconds: float, now: float) -> None:
        """A breaker opened elsewhere."""
        if key.upstream in self._policies:
            self._touch(key, endpoint, now).breaker.adopt_opened(seconds, now)

    def adopt_closed(self, key: Key, now: float) -> None:
        """A breaker closed elsewhere."""
        if record := self._find(key):
            record.breaker.adopt_closed(now)

    def adopt_failure(self, key: Key, endpoint: str, now: float) -> None:
        """A hard failure elsewhere."""
        if key.upstream in self._policies:
            self._touch(key, endpoint, now).breaker.adopt_failure()

    def adopt_success(self, key: Key) -> None:
        """A success elsewhere, after a failure."""
        if record := self._find(key):
            record.breaker.adopt_success()
