"""What the fleet passes on between workers, and what a newcomer has to be told. Pure.

A success matters to the others once after each failure; the rest of the successes that workers tell of are swallowed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from proxy.core.breaker import State
from proxy.core.health import Key
from proxy.workers.messages import BreakerMoved, Failed, News, Recovered


@dataclass(frozen=True, slots=True)
class _Opened:
    endpoint: str
    until: float


class Notices:
    """Which breakers are open, and for which of the others somebody's last attempt failed."""

    def __init__(self) -> None:
        self._open: dict[Key, _Opened] = {}
        self._suspect: set[Key] = set()

    def take(self, news: News, now: float) -> News | None:
        """Note it; returns what the other workers have to hear."""
        key = Key(news.upstream, news.model)
        match news:
            case BreakerMoved():
                self._suspect.discard(key)
                self._note(key, news, now)
            case Failed():
                self._suspect.add(key)
            case Recovered() if key not in self._suspect:
                return None
            case Recovered():
                self._suspect.discard(key)
        return news

    def standing(self, now: float) -> Iterator[BreakerMoved]:
        """What a worker that has just begun does not know yet."""
        for key, opened in self._open.items():
            yield BreakerMoved(key.upstream, key.model, opened.endpoint, State.OPEN, max(opened.until - now, 0.0))

    def _note(self, key: Key, moved: BreakerMoved, now: float) -> None:
        self._open.pop(key, None)
        if moved.state is State.OPEN:
            self._open[key] = _Opened(moved.endpoint, now + moved.open_seconds)
