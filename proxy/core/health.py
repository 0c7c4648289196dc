"""The breakers of all upstreams, one for each (upstream, model): a cloud can lose one model and keep the others.

Owner of every breaker. Model names come from clients, so their number is bounded: the least recently used healthy
breaker is forgotten first, an ill one only when all are ill.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from proxy.core.breaker import UNCOUNTED, Breaker, BreakerSettings, Permit, Refusal, State, Transition
from proxy.core.outcome import Outcome

MAX_MODELS = 256
"""Breakers kept for each upstream. OpenAI lists about 100 models; a client that invents names gains nothing."""


class Key(NamedTuple):
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
        if key.upstream not in self._policies:
            return UNCOUNTED, None
        record = self._touch(key, endpoint, now)
        return record.breaker.acquire(now)

    def acquire_probe(self, key: Key, now: float) -> tuple[Permit | Refusal, Transition | None]:
        """The prober asks for leave."""
        record = self._find(key)
        return record.breaker.acquire_probe(now) if record else (Refusal(now), None)

    def first_content(self, key: Key, permit: Permit) -> None:
        """The attempt under `permit` gives content."""
        if record := self._find(key):
            record.breaker.first_content(permit)

    def report(self, key: Key, permit: Permit, outcome: Outcome, now: float) -> Transition | None:
        """The attempt under `permit` ended."""
        record = self._find(key)
        return record.breaker.report(permit, outcome, now) if record else None

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

    def _touch(self, key: Key, endpoint: str, now: float) -> _Record:
        records = self._records[key.upstream]
        record = records.get(key.model)
        if record is None:
            self._make_room(records)
            policy = self._policies[key.upstream]
            breaker = Breaker(policy.breaker, is_probed=policy.is_probed, now=now)
            record = records[key.model] = _Record(breaker, endpoint)
        record.endpoint = endpoint
        records.move_to_end(key.model)
        return record

    @staticmethod
    def _make_room(records: OrderedDict[str, _Record]) -> None:
        if len(records) < MAX_MODELS:
            return
        oldest_pristine = (model for model, record in records.items() if record.breaker.is_pristine)
        del records[next(oldest_pristine, next(iter(records)))]
