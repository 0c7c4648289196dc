"""What stands in for time, the far end and a request that is over: no test waits and none opens a socket."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import cast

from proxy.core.outcome import Outcome
from proxy.core.phases import Phases
from proxy.server.deadlines import Deadlines, Limited
from proxy.telemetry.events import Endpoint, RequestEnded, Result
from proxy.upstreams.exchange import Inbox
from proxy.upstreams.transport import AttemptFailed, Dispatch, Exchange, Outgoing, Sink, Transport
from proxy.upstreams.upstream import Call, Gate, Identity, Upstream
from proxy.wire.headers import Fields
from proxy.wire.http1 import ResponseHead, parse_response_head

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


class FakeDeadlines(Deadlines):
    """Looks when it is told to, as if the time until then had passed."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self._hand = clock

    @property
    def watched(self) -> set[Limited]:
        return set(self._watched)

    def watch(self, limited: Limited) -> None:
        self._watched.add(limited)

    def advance(self, seconds: float) -> None:
        self._hand.now += seconds
        for limited in self.watched:
            if limited in self._watched and limited.limit_at <= self._hand.now:
                self.forget(limited)
                limited.expire()


def response_head(status: int = 200, fields: Fields = JSON) -> ResponseHead:
    """The head of an answer."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    data = f"HTTP/1.1 {status} \r\n{lines}\r\n".encode("utf-8", "surrogateescape")
    return parse_response_head(data, len(data) - 4)


Piece = bytes | AttemptFailed


class FakeExchange(Exchange):
    """An answer made of pieces: bytes that come, a failure. It can be read again and again."""

    def __init__(self, pieces: Sequence[Piece] = (), *, status: int = 200, fields: Fields = JSON) -> None:
        super().__init__(response_head(status, fields), Inbox())
        self.is_closed = False
        self._pieces = pieces

    def close(self) -> None:
        self.is_closed = True

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            await asyncio.sleep(0)  # as a socket does: whose time is over is told so here
            if isinstance(piece, AttemptFailed):
                raise piece
            yield piece


class FakeDispatch:
    """A Dispatch that goes nowhere: the test says what comes back. Notes what its reader asks for."""

    def __init__(self, head: bytes, body: bytes, sink: Sink, connect_seconds: float) -> None:
        self.head = head
        self.body = body
        self.sink = sink
        self.connect_seconds = connect_seconds
        self.phases = Phases(first_byte=0.25)
        self.asked: list[str] = []
        self.is_over = False

    # ---- what its reader asks

    def cancel(self) -> None:
        self.is_over = True
        self.asked.append("cancel")

    def pause_reading(self) -> None:
        self.asked.append("pause")

    def resume_reading(self) -> None:
        self.asked.append("resume")

    # ---- what the upstream does

    def begin(self, status: int = 200, fields: Fields = JSON) -> None:
        self.sink.head(response_head(status, fields))

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            if not self.is_over:
                self.sink.body(piece)

    def end(self) -> None:
        if not self.is_over:
            self.is_over = True
            self.sink.end()

    def fail(self, outcome: Outcome) -> None:
        if not self.is_over:
            self.is_over = True
            self.sink.failed(outcome)

    def answer(self, *pieces: bytes, status: int = 200, fields: Fields = JSON) -> None:
        """A whole answer."""
        self.begin(status, fields)
        self.send(*pieces)
        self.end()


class FakeTransport(Transport):
    """Notes what would go out. `send` answers with what it was given; what is dispatched waits for the test."""

    def __init__(self, base_url: str, answer: Exchange | AttemptFailed) -> None:
        super().__init__(base_url, FakeClock())
        self.answer = answer
        self.sent: list[Outgoing] = []
        self.dispatched: list[FakeDispatch] = []
        self.connect_seconds: list[float] = []

    def dispatch(
        self, head: bytes, body: bytes, sink: Sink, connect_seconds: float, *, is_head_request: bool = False
    ) -> Dispatch:
        self.dispatched.append(FakeDispatch(head, body, sink, connect_seconds))
        return cast("Dispatch", self.dispatched[-1])

    async def send(self, outgoing: Outgoing, connect_seconds: float) -> Exchange:
        self.sent.append(outgoing)
        self.connect_seconds.append(connect_seconds)
        if isinstance(self.answer, AttemptFailed):
            raise self.answer
        return self.answer


class FakeUpstream(Upstream):
    """An upstream over a FakeTransport: all but the wire is real."""

    def __init__(
        self,
        identity: Identity,
        answer: Exchange | AttemptFailed | None = None,
        *,
        is_local: bool = False,
        gate: Gate | None = None,
    ) -> None:
        super().__init__(identity, FakeClock(), is_local=is_local, gate=gate)
        self._transport = self.transport = FakeTransport(identity.base_url, answer or FakeExchange())

    @property
    def last(self) -> FakeDispatch:
        """What was dispatched last."""
        return self.transport.dispatched[-1]


class FakeGate(Gate):
    """Open or not, until the test says otherwise; counts doubts."""

    def __init__(self, *, is_open: bool) -> None:
        self._is_open = is_open
        self._decided = asyncio.Event()
        self.doubts = 0
        self.waits: list[float] = []

    @property
    def is_open(self) -> bool:
        return self._is_open

    async def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        await self._decided.wait()
        return self._is_open

    def decide(self, *, is_open: bool) -> None:
        """Whoever waits need not wait longer."""
        self._is_open = is_open
        self._decided.set()

    def doubt(self) -> None:
        self.doubts += 1


class FakeClient(asyncio.Transport):
    """The client's end of a connection: what was written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.is_aborted = False
        self._is_closing = False

    @property
    def written(self) -> bytes:
        return b"".join(self.writes)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self._is_closing, "uvloop raises here"
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        self._is_closing = True

    def abort(self) -> None:
        self.is_aborted = self._is_closing = True


async def turn() -> None:
    """Let everything run that is ready to."""
    for _ in range(5):
        await asyncio.sleep(0)


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
