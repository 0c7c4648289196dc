"""What stands in for time, the far end and a request that is over: no test waits and none opens a socket."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from multidict import CIMultiDict

from proxy.telemetry.events import Endpoint, RequestEnded, Result
from proxy.upstreams.transport import AttemptFailed, Exchange, Outgoing, Transport
from proxy.upstreams.upstream import Call, Identity, Upstream
from proxy.wire.headers import Fields

EVENT_STREAM: Fields = [("Content-Type", "text/event-stream; charset=utf-8")]
JSON: Fields = [("Content-Type", "application/json")]


@dataclass
class FakeClock:
    """Stands still until somebody moves it."""

    now: float = 1000.0
    wall_at_zero: float = 1_700_000_000.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.wall_at_zero + self.now


@dataclass(frozen=True)
class Pause:
    """So many seconds pass before the next piece comes."""

    seconds: float


Piece = bytes | Pause | AttemptFailed


class FakeExchange(Exchange):
    """An answer made of pieces: bytes that come, time that passes, a failure. The real class reads them."""

    def __init__(
        self, pieces: Sequence[Piece] = (), *, status: int = 200, fields: Fields = JSON, clock: FakeClock | None = None
    ) -> None:
        self.status = status
        self.fields = list(fields)
        self.headers = CIMultiDict(fields)
        self.is_closed = False
        self._pieces = pieces
        self._clock = clock or FakeClock()

    def close(self) -> None:
        self.is_closed = True

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            await asyncio.sleep(0)  # as a socket does: whose time is over is told so here
            match piece:
                case Pause(seconds):
                    self._clock.now += seconds
                case AttemptFailed():
                    raise piece
                case _:
                    yield piece


@dataclass
class FakeTransport(Transport):
    """Notes what would go out, and answers with what it was given."""

    answer: Exchange | AttemptFailed
    sent: list[Outgoing] = field(default_factory=list)
    connect_seconds: list[float] = field(default_factory=list)

    async def send(self, outgoing: Outgoing, connect_seconds: float) -> Exchange:
        self.sent.append(outgoing)
        self.connect_seconds.append(connect_seconds)
        if isinstance(self.answer, AttemptFailed):
            raise self.answer
        return self.answer

    async def close(self) -> None:
        pass


class FakeUpstream(Upstream):
    """An upstream over a FakeTransport: all but the wire is real."""

    def __init__(self, identity: Identity, answer: Exchange | AttemptFailed, *, is_local: bool = False) -> None:
        self._identity = identity
        self._transport = self.transport = FakeTransport(answer)
        self._base = identity.base_url
        self._gate = None
        self.name = identity.name
        self.is_local = is_local


def call(*fields: tuple[str, str], body: bytes = b'{"model":"gpt-5"}', target: str = "/chat/completions") -> Call:
    """A client's request."""
    return Call("POST", target, list(fields), body)


def request_ended(**facts: object) -> RequestEnded:
    """A streamed request that acme answered, but for the facts given."""
    usual: dict[str, object] = {
        "request_id": "req-1",
        "client": "",
        "endpoint": Endpoint.CHAT,
        "method": "POST",
        "is_stream": True,
        "result": Result.ANSWERED,
        "status": 200,
        "upstream": "acme",
        "attempts": 1,
        "tried": (),
        "losses": (),
        "seconds": 1.23456789,
        "first_content_seconds": None,
    }
    return RequestEnded(**(usual | facts))  # type: ignore[arg-type]
