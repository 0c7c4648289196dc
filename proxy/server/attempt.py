"""One attempt, up to the point where the client may see something of it.

An unstreamed answer is held until it is complete, so that a cut one can still be failed over. A stream is held until
its first content: comments, pings and a lone role are what a model sends that is about to hang.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from proxy.clock import Clock
from proxy.core.failover import Start
from proxy.core.outcome import KeyOwner, Kind, Outcome, kind_of_status
from proxy.upstreams.transport import AttemptFailed, Exchange
from proxy.upstreams.upstream import Call, Upstream
from proxy.wire import completion, headers, sse
from proxy.wire.headers import Fields

MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""An unstreamed answer is held in memory. 64 MiB is 2,000 embeddings of 3,072 numbers in JSON, the largest request
that OpenAI takes."""


@dataclass(frozen=True, slots=True)
class WholeAnswer:
    """A complete answer."""

    outcome: Outcome
    fields: Fields
    body: bytes


@dataclass(slots=True)
class OpenStream:
    """A stream that has shown its first content. `held` is all of it so far, in whole events."""

    exchange: Exchange
    chunks: AsyncIterator[bytes]
    reader: sse.EventReader
    held: bytes


@dataclass(frozen=True, slots=True)
class Question:
    """A completion request as an attempt needs it."""

    call: Call
    model: str
    is_stream: bool


async def attempt(
    upstream: Upstream, question: Question, start: Start, extra: Fields, clock: Clock
) -> WholeAnswer | OpenStream:
    """Ask, and wait for what is worth showing. Raises AttemptFailed."""
    seconds = max(start.limit_at - clock.monotonic(), 0.0)
    try:
        async with asyncio.timeout(seconds):
            return await _ask(upstream, question, start, extra, seconds, clock.wall())
    except TimeoutError:
        raise AttemptFailed(Outcome(start.late_kind)) from None


async def _ask(
    upstream: Upstream, question: Question, start: Start, extra: Fields, patience_seconds: float, wall: float
) -> WholeAnswer | OpenStream:
    model = start.candidate.model
    exchange = await upstream.ask(
        question.call,
        None if model == question.model else model,
        connect_seconds=start.connect_seconds,
        patience_seconds=patience_seconds,
        extra=extra,
    )
    try:
        return await _read(exchange, upstream.key_owner(question.call.fields), question.is_stream, wall)
    except BaseException:
        exchange.close()
        raise


async def _read(exchange: Exchange, key_owner: KeyOwner, is_stream: bool, wall: float) -> WholeAnswer | OpenStream:
    kind = kind_of_status(exchange.status, key_owner)
    outcome = Outcome(kind, exchange.status, headers.retry_after_seconds(exchange.headers, wall))
    if not outcome.is_answer:
        raise AttemptFailed(outcome)
    if kind is Kind.OK and is_stream:
        return await _hold(exchange)
    body = await exchange.read(MAX_ANSWER_BYTES)
    if kind is Kind.OK and not _is_opaque(exchange) and not completion.is_whole(body):
        raise _bad(exchange, "not a completion")
    exchange.close()
    return WholeAnswer(outcome, exchange.fields, body)


async def _hold(exchange: Exchange) -> OpenStream:
    if exchange.content_type != "text/event-stream":
        raise _bad(exchange, f"a stream was asked for, {exchange.content_type or 'nothing'} came")
    reader = sse.EventReader()
    chunks = exchange.chunks()
    held = b""
    async for chunk in chunks:
        block = reader.feed(chunk)
        held += block
        if len(held) + len(reader.rest) > sse.MAX_EVENT_BYTES:
            raise _bad(exchange, "no content in its first megabytes")
        if _shows_content(block, exchange):
            return OpenStream(exchange, chunks, reader, held)
    raise AttemptFailed(Outcome(Kind.CUT, exchange.status, detail="ended before its first content"))


def _shows_content(block: bytes, exchange: Exchange) -> bool:
    for data in sse.payloads(block):
        seen = completion.glance(data)
        if seen.is_error or data == completion.DONE:
            raise _bad(exchange, "error event" if seen.is_error else "ended without content")
        if seen.has_content or seen.is_finished:
            return True
    return False


def _is_opaque(exchange: Exchange) -> bool:
    """Compressed although we asked for it plain: passed on unseen."""
    return exchange.headers.get("Content-Encoding", "identity").lower() != "identity"


def _bad(exchange: Exchange, detail: str) -> AttemptFailed:
    return AttemptFailed(Outcome(Kind.BAD_ANSWER, exchange.status, detail=detail))
