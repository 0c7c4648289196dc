"""The active check: `GET /v1/models`, which costs nothing, where requests say nothing or something odd.

It proves that DNS, TLS, the key and the edge work, and no more: on 2023-11-08 it stayed green through an outage of 1 h
55 min. So green closes no breaker, and red trips none: the edge may fail where the models do not. Red makes suspect, so
that the local model is awake when the next request comes.
"""

import asyncio
import random
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from proxy.clock import Clock
from proxy.core.health import Urgency
from proxy.core.outcome import Kind, kind_of_status
from proxy.telemetry.events import Emit
from proxy.upstreams.errands import Errands
from proxy.upstreams.pool import Pool
from proxy.upstreams.transport import AttemptFailed, bounded
from proxy.upstreams.upstream import Call, Upstream

TICK_SECONDS: Final = 1.0
_PATIENCE_SECONDS: Final = 5.0

INTERVAL_SECONDS: Final[Mapping[Urgency, float]] = MappingProxyType({Urgency.SUSPECT: 10.0, Urgency.IDLE: 60.0})
"""Ten seconds are what a red light is late at most while one looks; once a minute nobody notices it in the bill."""

_JITTER: Final = (0.8, 1.2)
"""So that a thousand sidecars that were started together do not ask together."""

_LIST_BYTES: Final = 4 * 2**20
_UNREACHABLE: Final = frozenset({Kind.DNS, Kind.CONNECT, Kind.CONNECT_TIMEOUT, Kind.TLS, Kind.RESET, Kind.CUT})

_RED: Final = _UNREACHABLE | {Kind.SERVER_ERROR, Kind.OUR_KEY}
"""What a client's request would meet as well. A 404 is not red: not every server has the list; nor is a 429."""


class Checker:
    """Checks the named upstreams, one check of each at a time."""

    def __init__(self, pool: Pool, names: Iterable[str], clock: Clock, rng: random.Random, emit: Emit) -> None:
        self._pool = pool
        self._clock = clock
        self._rng = rng
        self._errands = Errands("check", emit)
        # The first one comes late: what is wrong from the beginning shows in the first requests.
        self._checked_at = dict.fromkeys(names, clock.monotonic())
        self._jitter = dict.fromkeys(names, 1.0)

    async def run(self) -> None:
        """Check until cancelled."""
        try:
            while True:
                await asyncio.sleep(TICK_SECONDS)
                self.start_due()
        finally:
            await self._errands.stop()

    def start_due(self) -> list[asyncio.Task[None]]:
        """Begin the checks whose time has come."""
        return [self._errands.begin(self._check(name)) for name in self._checked_at if self._is_due(name)]

    def _is_due(self, name: str) -> bool:
        interval = INTERVAL_SECONDS.get(self._pool.wants_check(name))
        return (
            interval is not None and self._clock.monotonic() >= self._checked_at[name] + interval * self._jitter[name]
        )

    async def _check(self, name: str) -> None:
        """No second one begins meanwhile: the shortest interval is longer than the patience."""
        self._checked_at[name] = self._clock.monotonic()
        self._jitter[name] = self._rng.uniform(*_JITTER)
        self._pool.checked(name, is_red=await _is_red(self._pool[name]))


async def _is_red(upstream: Upstream) -> bool:
    kind = await _ask(upstream)
    if kind is Kind.RESET:  # perhaps only because it came just after an idle connection had been closed
        kind = await _ask(upstream)
    return kind in _RED


async def _ask(upstream: Upstream) -> Kind:
    try:
        return await bounded(_PATIENCE_SECONDS, Kind.CONNECT_TIMEOUT, _get(upstream))
    except AttemptFailed as failure:
        return failure.outcome.kind


async def _get(upstream: Upstream) -> Kind:
    exchange = await upstream.send(Call("GET", "/models", [], None), _PATIENCE_SECONDS)
    async with exchange:
        await exchange.read(_LIST_BYTES)  # what is read to its end leaves the connection to the next request
        return kind_of_status(exchange.status, upstream.key_owner([]))
