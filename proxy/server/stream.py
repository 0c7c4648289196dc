"""The pump of a committed stream: whole events as the bytes they came in, nothing parsed until something breaks."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from proxy.clock import Clock
from proxy.core.outcome import Kind, Outcome
from proxy.server.attempt import OpenStream
from proxy.upstreams.transport import AttemptFailed
from proxy.wire import completion, sse

Write = Callable[[bytes], Awaitable[None]]

_TAIL_BLOCKS = 4
"""The blocks kept to judge the end by. It takes three events: finish_reason, usage, `[DONE]`."""


async def pump(stream: OpenStream, write: Write, stall_seconds: float, clock: Clock) -> Outcome:
    """Forward until the upstream ends, breaks or stalls; return how it ended. `write` raises when the client is gone.

    A half event at the end of a broken stream is not forwarded: what follows it has to start on a line of its own.
    """
    tail = deque([stream.held], maxlen=_TAIL_BLOCKS)
    await write(stream.held)
    stalls_at = clock.monotonic() + stall_seconds
    while True:
        try:
            async with asyncio.timeout(max(stalls_at - clock.monotonic(), 0.0)):
                chunk = await anext(stream.chunks, None)
        except TimeoutError:
            return _judge(tail, Outcome(Kind.STALL, stream.exchange.status))
        except AttemptFailed as failure:
            return _judge(tail, failure.outcome)
        if chunk is None:
            return _judge(tail, Outcome(Kind.CUT, stream.exchange.status, detail="ended without finishing"))
        block = stream.reader.feed(chunk)
        if len(stream.reader.rest) > sse.MAX_EVENT_BYTES:
            return Outcome(Kind.BAD_ANSWER, stream.exchange.status, detail="an event without end")
        if block:
            await write(block)
            if not sse.is_only_comments(block):
                tail.append(block)
                stalls_at = clock.monotonic() + stall_seconds


def _judge(tail: deque[bytes], if_unfinished: Outcome) -> Outcome:
    """How a stream that gives no more had ended. One that had finished is well, however its connection went."""
    match completion.ending(tail):
        case completion.Ending.WELL:
            return Outcome(Kind.OK, if_unfinished.status)
        case completion.Ending.WITH_ERROR:
            return Outcome(Kind.SERVER_ERROR, if_unfinished.status, detail="error event")
        case completion.Ending.UNFINISHED:
            return if_unfinished
