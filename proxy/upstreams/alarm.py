"""What wakes a spare that rests, and keeps one awake that was woken.

A sink for events. It decides nothing about the requests that they tell of: whoever published them has acted on them.
"""

from collections.abc import Callable
from typing import Final

from proxy.clock import Clock
from proxy.core.breaker import State
from proxy.telemetry.events import AttemptEnded, BreakerChanged, Event, UpstreamSuspected

_AGAIN_SECONDS: Final = 1.0
"""How long one alarm lasts: in an outage there are thousands a second, and nobody rests for so short a time."""


class Alarm:
    """Calls `want` for an upstream that has become suspect, for a breaker that opens, and for a request that the local
    model has answered. `local` is its name."""

    def __init__(self, want: Callable[[], None], local: str, clock: Clock) -> None:
        self._want = want
        self._local = local
        self._clock = clock
        self._again_at = 0.0

    def __call__(self, event: Event) -> None:
        """Look at one event."""
        if self._is_reason(event) and (now := self._clock.monotonic()) >= self._again_at:
            self._again_at = now + _AGAIN_SECONDS
            self._want()

    def _is_reason(self, event: Event) -> bool:
        if isinstance(event, AttemptEnded):
            return event.upstream == self._local
        return isinstance(event, UpstreamSuspected) or (isinstance(event, BreakerChanged) and event.after is State.OPEN)
