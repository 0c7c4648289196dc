"""What a worker has to tell the others: a sink for events, and the other way round what becomes of their news.

It decides no more than whom to tell what. A success is told only where a failure was told or heard of since the last
one, so that a healthy upstream costs nothing.
"""

from collections.abc import Callable

from proxy.core.breaker import State
from proxy.core.health import Key
from proxy.core.outcome import Outcome, Weight
from proxy.telemetry.events import AttemptEnded, BreakerChanged, Event
from proxy.upstreams.pool import Pool
from proxy.workers.messages import BreakerMoved, Failed, News, Recovered

_NEWS = frozenset({State.OPEN, State.RAMPING})


class Sharing:
    """Between the pool of this worker and those of the others. `send` is the way to them."""

    def __init__(self, pool: Pool, send: Callable[[News], None]) -> None:
        self._pool = pool
        self._send = send
        self._suspect: set[Key] = set()

    def tell(self, event: Event) -> None:
        """Pass on what concerns the others. Whoever published it has already acted."""
        if isinstance(event, AttemptEnded):
            self._tell_attempt(event)
        elif isinstance(event, BreakerChanged):
            self._tell_breaker(event)

    def hear(self, news: News) -> None:
        """Act on what another worker saw. None of it becomes an event here, so nothing echoes."""
        key = Key(news.upstream, news.model)
        match news:
            case BreakerMoved(state=State.OPEN):
                self._suspect.discard(key)
                self._pool.adopt_opened(key, news.endpoint, news.open_seconds)
            case BreakerMoved():
                self._suspect.discard(key)
                self._pool.adopt_recovery(key)
            case Failed():
                self._suspect.add(key)
                self._pool.adopt_failure(key, news.endpoint)
            case Recovered():
                self._suspect.discard(key)
                self._pool.adopt_success(key)

    def _tell_attempt(self, event: AttemptEnded) -> None:
        weight = event.outcome.weight
        if weight is Weight.HARD:
            self._tell_failure(Key(event.upstream, event.model), event.outcome)
        elif weight is Weight.SUCCESS and self._suspect:
            key = Key(event.upstream, event.model)
            if key in self._suspect:
                self._suspect.discard(key)
                self._send(Recovered(key.upstream, key.model))

    def _tell_failure(self, key: Key, outcome: Outcome) -> None:
        # What has no breaker (the supervised local model) is nobody's business.
        if endpoint := self._pool.endpoint(key):
            self._suspect.add(key)
            self._send(Failed(key.upstream, key.model, endpoint, outcome.kind))

    def _tell_breaker(self, event: BreakerChanged) -> None:
        """Half open is between a worker and its probe, and a ramp ends for everybody at the same time."""
        key = Key(event.upstream, event.model)
        endpoint = self._pool.endpoint(key)
        if event.after not in _NEWS or endpoint is None:
            return
        self._suspect.discard(key)
        self._send(BreakerMoved(key.upstream, key.model, endpoint, event.after, event.open_seconds or 0.0))
