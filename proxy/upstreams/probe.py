"""The background probe: is an upstream that was given up on well again? Asked with a tiny real request.

Only a real completion of that very model proves recovery. On 2023-11-08 `GET /v1/models` stayed green through an
outage of 1 h 55 min.

The probe is a stream of at most 16 tokens that is cut at its first content, so it costs a token or two.
`max_tokens: 1` is refused by some reasoning models (their minimum is 16), and `max_tokens` itself by the newer ones;
a server that knows neither field is cut off all the same.
"""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from proxy.clock import Clock
from proxy.core.action import Timeouts
from proxy.core.breaker import Permit
from proxy.core.health import Key
from proxy.core.outcome import KeyOwner, Kind, Outcome, kind_of_status
from proxy.telemetry.events import Emit
from proxy.upstreams.errands import Errands
from proxy.upstreams.pool import Pool
from proxy.upstreams.transport import AttemptFailed, Exchange, bounded
from proxy.upstreams.upstream import Call
from proxy.wire import completion, headers, sse

TICK_SECONDS = 0.25
_READ_LIMIT_BYTES = 2**20

_BODIES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "chat/completions": {
            "messages": [{"role": "user", "content": "ping"}],
            "max_completion_tokens": 16,
            "stream": True,
        },
        "completions": {"prompt": "ping", "max_tokens": 1, "stream": True},
        "embeddings": {"input": "ping"},
    }
)


class Prober:
    """Looks four times a second for breakers whose cooldown is over, and sends each one probe at a time."""

    def __init__(self, pool: Pool, timeouts: Mapping[str, Timeouts], clock: Clock, emit: Emit) -> None:
        self._pool = pool
        self._timeouts = timeouts
        self._clock = clock
        self._errands = Errands("probe", emit)

    async def run(self) -> None:
        """Probe until cancelled."""
        try:
            while True:
                await asyncio.sleep(TICK_SECONDS)
                self._start_due()
        finally:
            await self._errands.stop()

    def _start_due(self) -> None:
        for key, endpoint in self._pool.ill():
            permit = self._pool.acquire_probe(key)
            if isinstance(permit, Permit):
                self._errands.begin(self._probe(key, endpoint, permit))

    async def _probe(self, key: Key, endpoint: str, permit: Permit) -> None:
        outcome = Outcome(Kind.CLIENT_GONE)
        try:
            outcome = await self._ask(key, endpoint)
        except AttemptFailed as failure:
            outcome = failure.outcome
        finally:
            self._pool.report(key, permit, outcome)

    async def _ask(self, key: Key, endpoint: str) -> Outcome:
        timeouts = self._timeouts[key.upstream]
        body = msgspec.json.encode({"model": key.model, **_BODIES[endpoint]})
        call = Call("POST", f"/{endpoint}", [("Content-Type", "application/json")], body)
        patience = self._pool.limit_seconds(key, len(body)) or timeouts.first_content_seconds
        asking = self._pool[key.upstream].send(call, timeouts.connect_seconds)
        exchange: Exchange = await bounded(patience, Kind.FIRST_CONTENT_TIMEOUT, asking)
        async with exchange:
            outcome = self._judge_head(exchange)
            if outcome.kind is Kind.OK:
                await bounded(patience, Kind.FIRST_CONTENT_TIMEOUT, _await_proof(exchange))
            return outcome

    def _judge_head(self, exchange: Exchange) -> Outcome:
        """A probe that is refused as malformed says nothing: the next client's request will."""
        kind = kind_of_status(exchange.status, KeyOwner.UPSTREAM)
        is_rate_limited = kind is Kind.RATE_LIMITED
        pause = headers.retry_after_seconds(exchange.headers, self._clock.wall(), is_rate_limited=is_rate_limited)
        return Outcome(kind, exchange.status, pause)


async def _await_proof(exchange: Exchange) -> None:
    """Return at the first content of a stream, or at the end of a whole answer. Raises AttemptFailed otherwise."""
    if exchange.content_type != "text/event-stream":
        if completion.is_whole(await exchange.read(_READ_LIMIT_BYTES)):
            return
        raise AttemptFailed(Outcome(Kind.BAD_ANSWER, exchange.status, detail="not a completion"))
    reader = sse.EventReader()
    async for chunk in exchange.chunks():
        for data in sse.payloads(reader.feed(chunk)):
            seen = completion.glance(data)
            if seen.is_error:
                raise AttemptFailed(Outcome(Kind.BAD_ANSWER, exchange.status, detail="error in stream"))
            if seen.has_content or seen.is_finished:
                return
        if reader.is_overfull:
            raise AttemptFailed(Outcome(Kind.BAD_ANSWER, exchange.status, detail="an event without end"))
    raise AttemptFailed(Outcome(Kind.CUT, exchange.status, detail="stream without content"))
