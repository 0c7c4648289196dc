"""A sink that writes down what it hears, and requests to send."""

import asyncio

from proxy.clock import SystemClock
from proxy.core.outcome import Outcome
from proxy.upstreams.transport import Transport
from proxy.wire.http1 import ResponseHead

GET = b"GET /v1/x HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
CONNECT_SECONDS = 5.0


class Listener:
    """Hears one answer. Wait for `over`."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.data = bytearray()
        self.is_ended = False
        self.outcome: Outcome | None = None
        self.begun = asyncio.Event()
        self.over = asyncio.Event()

    @property
    def heard_nothing(self) -> bool:
        return not (self.statuses or self.data or self.is_ended or self.outcome)

    def head(self, head: ResponseHead) -> None:
        assert not self.over.is_set()
        self.statuses.append(head.status)

    def body(self, data: bytes) -> None:
        assert data
        assert self.statuses
        assert not self.over.is_set()
        self.data += data
        self.begun.set()

    def end(self) -> None:
        assert not self.over.is_set()
        self.is_ended = True
        self.over.set()

    def whole(self, head: ResponseHead, body: bytes) -> None:
        self.head(head)
        self.body(body)
        self.end()

    def failed(self, outcome: Outcome) -> None:
        assert not self.over.is_set()
        self.outcome = outcome
        self.over.set()


def transport_to(port: int, *, max_connections: int | None = None) -> Transport:
    return Transport(f"http://127.0.0.1:{port}/v1", SystemClock(), max_connections=max_connections)


async def heard(transport: Transport, request: bytes = GET, body: bytes = b"") -> Listener:
    """Send a request and hear its answer to the end."""
    listener = Listener()
    transport.dispatch(request, body, listener, CONNECT_SECONDS)
    await listener.over.wait()
    return listener
