"""A fast mock upstream that never fails: `python -m tests.bench.mock PORT` prints its port when it listens."""

import asyncio
import gc
import sys
from time import perf_counter_ns
from typing import cast

import uvloop

from tests.bench import traffic
from tests.bench.traffic import TIME_DIGITS, Pace

HOST = "127.0.0.1"
_ANSWER = traffic.answer()
_STREAM_HEAD = traffic.stream_head()
_STREAM_TAIL = traffic.stream_tail()
_EVENT = b"%%b%%0%dd%%b" % TIME_DIGITS
_BEFORE_TIME, _AFTER_TIME = traffic.event_parts()
_BACKLOG = 4096


def event(now: int) -> bytes:
    """One content event, as a chunk, that carries the time in nanoseconds."""
    return _EVENT % (_BEFORE_TIME, now, _AFTER_TIME)


class MockConnection(asyncio.Protocol):
    """One connection: each request is answered at once, or as a stream at its pace."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._next_event: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one only in its methods

    def connection_lost(self, exc: Exception | None) -> None:
        if self._next_event:
            self._next_event.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while end := traffic.message_end(self._buffer):
            pace = traffic.pace_of(self._buffer[:end])
            self._buffer = self._buffer[end:]
            if pace is None:
                self._transport.write(_ANSWER)
            else:
                self._start(pace)

    def _start(self, pace: Pace) -> None:
        self._transport.write(_STREAM_HEAD + event(perf_counter_ns()))
        self._schedule(pace.events - 1, pace.gap_milliseconds / 1000)

    def _schedule(self, left: int, gap_seconds: float) -> None:
        if left:
            self._next_event = self._loop.call_later(gap_seconds, self._send, left, gap_seconds)
        else:
            self._transport.write(_STREAM_TAIL)

    def _send(self, left: int, gap_seconds: float) -> None:
        self._transport.write(event(perf_counter_ns()))
        self._schedule(left - 1, gap_seconds)


async def main(port: int) -> None:
    """Listens on that port, or a free one if it is 0, until the process is ended."""
    gc.disable()  # a pause here would show as a delay of the proxy
    server = await asyncio.get_running_loop().create_server(MockConnection, HOST, port, backlog=_BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
