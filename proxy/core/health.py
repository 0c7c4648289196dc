"""The breakers of all upstreams, one for each (upstream, model): a cloud can lose one model and keep the others.

Owner of every breaker. Model names come from clients, so their number is bounded: the least recently used healthy
breaker is forgotten first, an ill one only when all are ill.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from math import inf

import msgspec

from proxy.core.answer_time import AnswerTimes
from proxy.core.breaker import UNCOUNTED, Breaker, BreakerSettings, Permit, Place, Refusal, State, Transition, first
from proxy.core.patience import REASONING_MODELS, Patience, is_reasoning

MAX_MODELS = 256
"""Breakers kept for each upstream. OpenAI lists about 100 models; a client that invents names gains nothing."""


RED_SECONDS = 30.0
"""For so long a failed check makes an upstream suspect. The next one comes sooner, and says whether it still is."""


class Urgency(Enum):
    """How much an active check of an upstream is worth."""

    NONE = "requests end there all the time, and say more"
    IDLE = "nobody has asked it for a while"
    SUSPECT = "there are doubts"


class Key(msgspec.Struct, frozen=True, gc=False):
    """What a breaker guards."""

    upstream: str
    model: str


@dataclass(frozen=True, slots=True)
class HealthPolicy:
    """How an upstream's breakers are made. `is_probed`: a background probe can reach it without a client's key."""

    breaker: BreakerSettings
    is_probed: bool
    is_limit_learnt: bool = False
    """Whether nobody has fixed how long first contents are waited for."""
    reasoning_models: tuple[str, ...] = REASONING_MODELS


@dataclass(slots=True)
class _Record:
    breaker: Breaker
    endpoint: str
    patience: Patience
    answers: AnswerTimes


class Health:
    """Permits in, reports out. An upstream without a policy (the supervised local model) is always permitted:
    its supervisor knows first-hand whether it runs, and refusing the last resort protects nobody."""

    def __init__(self, policies: Mapping[str, HealthPolicy]) -> None:
        self._policies = policies
        self._records: dict[str, OrderedDict[str, _Record]] = {name: OrderedDict() for name in policies}
        self._red_until = dict.fromkeys(policies, -inf)

    def acquire(
        self, key: Key, endpoint: str, now: float, place: Place = first
    ) -> tuple[Permit | Refusal, Transition | None]:
        """A client's request to `endpoint` (a path below /v1) asks for leave."""
        records = self._records.get(key.upstream)
        if records is None:
            return UNCOUNTED, None
        record = records.get(key.model)
        if record is None:
            record = self._add(key, endpoint, now)
        record.endpoint = endpoint
        records.move_to_end(key.model)  # the least recently used stands first
        return record.breaker.acquire(now, place)

    def force(self, key: Key, now: float) -> Permit | Refusal:
        """Leave in nearly any case, see `Breaker.force`."""
        record = self._find(key)
        return record.breaker.force(now) if record else UNCOUNTED

    def acquire_probe(self, key: Key, now: float) -> tuple[Permit | Refusal, Transition | None]:
        """The prober asks for leave."""
        record = self._find(key)
        return record.breaker.acquire_probe(now) if record else (Refusal(now), None)

    def ill(self) -> Iterator[tuple[Key, str]]:
        """What a prober should ask leave for: every (upstream, model) that is not closed, with its last endpoint.

        Of an upstream that it cannot probe, what is ramping: it gets no leave, but a ramp ends by time, asked or not.
        """
        for upstream, records in self._records.items():
            is_probed = self._policies[upstream].is_probed
            for model, record in list(records.items()):
                state = record.breaker.state
                if state is State.RAMPING or (is_probed and state is not State.CLOSED):
                    yield Key(upstream, model), record.endpoint

    def learn(self, key: Key, seconds: float, now: float, *, is_long: bool) -> None:
        """A stream's first content came so long after its request; `is_long`: its prompt is very long."""
        policy, record = self._policies.get(key.upstream), self._find(key)
        if policy and policy.is_limit_learnt and record and not is_long:
            record.patience.observe(seconds, now)

    def learn_answer(self, key: Key, seconds: float, tokens: int | None, now: float) -> None:
        """A whole answer came so long after its request, which allowed so many tokens."""
        if record := self._find(key):
            record.answers.observe(seconds, tokens, now)

    def usual_answer_seconds(self, key: Key, tokens: int | None, now: float) -> float | None:
        """By then 95 of 100 such answers are there; None until that is known."""
        record = self._find(key)
        return record.answers.usual_seconds(tokens, now) if record else None

    def limit_seconds(self, key: Key, now: float, *, is_long: bool) -> float | None:
        """How long a stream's first content is to be waited for; None where that is fixed."""
        policy = self._policies.get(key.upstream)
        if policy is None or not policy.is_limit_learnt:
            return None
        record = self._find(key)
        patience = record.patience if record else Patience(is_reasoning=self._is_reasoning(key))
        return patience.limit_seconds(now, is_long=is_long)

    def is_suspect(self, key: Key, now: float) -> bool:
        """Whether the upstream should be watched, see core/suspicion.py. Cheap enough to be asked for every request."""
        records = self._records.get(key.upstream)
        if records is None:
            return False
        record = records.get(key.model)
        return now < self._red_until[key.upstream] or (record is not None and record.breaker.is_suspect(now))

    def checked(self, upstream: str, now: float, *, is_red: bool) -> bool:
        """An active check of the whole upstream has ended so. Whether that has made it suspect.

        Red does no more than that, and green ends no more than what red has begun.
        """
        was_red = now < self._red_until[upstream]
        self._red_until[upstream] = now + RED_SECONDS if is_red else -inf
        return is_red and not was_red

    def wants_check(self, upstream: str, now: float) -> Urgency:
        """Whether an active check could learn what requests do not tell anyway."""
        records = self._records[upstream].values()
        if now < self._red_until[upstream] or any(record.breaker.is_suspect(now) for record in records):
            return Urgency.SUSPECT
        latest = next(reversed(records), None)
        return Urgency.IDLE if latest is None or latest.breaker.is_idle(now) else Urgency.NONE

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
        thinks = self._is_reasoning(key)
        answers = AnswerTimes(is_reasoning=thinks)
        record = records[key.model] = _Record(breaker, endpoint, Patience(is_reasoning=thinks), answers)
        return record

    def _is_reasoning(self, key: Key) -> bool:
        return is_reasoning(key.model, self._policies[key.upstream].reasoning_models)

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

    def adopt_recovery(self, key: Key, now: float) -> None:
        """An upstream was found to be well elsewhere."""
        if record := self._find(key):
            record.breaker.adopt_recovery(now)

    def adopt_failure(self, key: Key, endpoint: str, now: float) -> None:
        """A hard failure elsewhere."""
        if key.upstream in self._policies:
            self._touch(key, endpoint, now).breaker.adopt_failure(now)

    def adopt_success(self, key: Key) -> None:
        """A success elsewhere, after a failure."""
        if record := self._find(key):
            record.breaker.adopt_success()
