"""A drill's fault, made inside the proxy: between it and the upstream, so that all behind it is the real thing.

What fails before the head of the answer needs no connection: a Dispatch is fed with the bytes, or the failure, of a
script, and reads them as it reads a socket's. What fails later needs the real answer; `upstreams/midway.py` breaks it,
and `upstreams/slowness.py` keeps it back. The upstream itself sees nothing of the former, and of the latter a client
that leaves or reads slowly.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from typing import NamedTuple, Protocol

from proxy.clock import Clock
from proxy.core.drill_report import MIDWAY, SLOW, Shape
from proxy.core.outcome import Kind, Outcome
from proxy.upstreams.connection import Connection
from proxy.upstreams.dispatch import Dispatch, Sink
from proxy.upstreams.exchange import Exchange, Inbox
from proxy.upstreams.midway import Midway
from proxy.upstreams.slowness import Slowness
from proxy.upstreams.upstream import Call
from proxy.wire import envelope, peek, sse

_TARGETS = frozenset({"/chat/completions", "/completions"})
"""What somebody else can answer. A drill harms nothing else."""
_KEEPALIVE_SECONDS = 1.0
_OVER = Outcome(Kind.RESET, detail="the drill is over")
_KEPT = 1024
"""So many broken exchanges are set free at the end of a drill. Those before them have run into their limits."""

Pick = Callable[[str, float], Shape | None]
"""What becomes of a request for that model, by its upstream's name, which drew this number."""


class Step(NamedTuple):
    """`what` is heard so many seconds after the step before it."""

    after_seconds: float
    what: bytes | Outcome


class Broken(Protocol):
    """An exchange that was tampered with."""

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for it any more."""
        ...

    def release(self) -> None:
        """The drill is over: let nobody wait."""
        ...


class Saboteur:
    """Stands in for one upstream's transport while a drill runs. It owns the plays that it has begun."""

    def __init__(self, pick: Pick, rng: random.Random, clock: Clock) -> None:
        self._pick = pick
        self._rng = rng
        self._stage = _Stage(clock)
        self._broken: deque[Broken] = deque(maxlen=_KEPT)

    def dispatch(
        self, call: Call, body: bytes, sink: Sink, connect_seconds: float, real: Callable[[Sink], Dispatch]
    ) -> Dispatch:
        """The exchange, be it played, broken or left alone. Raises RequestInvalid."""
        shape = self._shape(call, body)
        if shape is None:
            return real(sink)
        if shape in MIDWAY or shape in SLOW:
            between = Midway(sink, shape) if shape in MIDWAY else Slowness(sink, shape)
            between.dispatch = real(between)
            self._keep(between)
            return between.dispatch
        return self._play(shape, sink, connect_seconds)

    async def exchange(self, call: Call, connect_seconds: float) -> Exchange | None:
        """The same for a coroutine; None leaves it alone. Raises AttemptFailed, RequestInvalid.

        That is the prober, which leaves at the first content: shapes that are of later do not concern it. It has less
        patience than what is late is late by.
        """
        shape = self._shape(call, call.body)
        if shape is None or shape in MIDWAY or shape is Shape.SLOW_TOKENS:
            return None
        inbox = Inbox()
        dispatch = self._play(shape, inbox, connect_seconds)
        try:
            return Exchange(await inbox.open(dispatch), inbox)
        except BaseException:
            dispatch.cancel()
            raise

    def release(self) -> None:
        """The drill is over: whoever waits for an answer that never comes is told so, and what runs runs on."""
        for broken in self._broken:
            broken.release()
        self._broken.clear()

    def _shape(self, call: Call, body: object) -> Shape | None:
        if call.method != "POST" or call.target.partition("?")[0] not in _TARGETS or not isinstance(body, bytes):
            return None
        if call.draw is None:
            call.draw = self._rng.random()
        return self._pick(peek.peek(body).model, call.draw)

    def _play(self, shape: Shape, sink: Sink, connect_seconds: float) -> Dispatch:
        dispatch = Dispatch(self._stage, b"", b"", sink, connect_seconds, _is_head_request=False)
        play = _Play(dispatch, iter(steps(shape, connect_seconds)))
        play.go_on()
        self._keep(play)
        return dispatch

    def _keep(self, broken: Broken) -> None:
        while self._broken and self._broken[0].is_over:
            self._broken.popleft()
        self._broken.append(broken)


class _Stage:
    """An Owner of dispatches that have no connection."""

    def __init__(self, clock: Clock) -> None:
        self.now = clock.monotonic

    def again(self, dispatch: Dispatch) -> None:
        dispatch.fail(_OVER)

    def release(self, connection: Connection) -> None:
        connection.abort()


class _Play:
    """One dispatch, and what it still has to hear."""

    def __init__(self, dispatch: Dispatch, to_come: Iterator[Step]) -> None:
        self._dispatch = dispatch
        self._to_come = to_come

    @property
    def is_over(self) -> bool:
        return self._dispatch.is_over

    def go_on(self) -> None:
        """Towards the next step, if there is one: not before the loop's next turn, as a Dispatch promises."""
        step = next(self._to_come, None)
        if step is not None and not self.is_over:
            asyncio.get_running_loop().call_later(step.after_seconds, self._perform, step.what)

    def release(self) -> None:
        self._dispatch.fail(_OVER)

    def _perform(self, what: bytes | Outcome) -> None:
        if self.is_over:
            return
        if isinstance(what, Outcome):
            self._dispatch.fail(what)
        else:
            self._dispatch.received(what)
        self.go_on()


def steps(shape: Shape, connect_seconds: float) -> Iterable[Step]:
    """What an upstream of that shape, one that fails before its first content, lets hear; silence behind the last."""
    if shape is Shape.CONNECT_HANG:
        return [Step(connect_seconds, _failure(Kind.CONNECT_TIMEOUT))]
    if shape is Shape.KEEPALIVES_ONLY:
        return chain([Step(0.0, _STREAM_HEAD)], repeat(Step(_KEEPALIVE_SECONDS, _chunk(b": keep-alive\n\n"))))
    return [Step(0.0, what) for what in _AT_ONCE[shape]]


def _failure(kind: Kind) -> Outcome:
    return Outcome(kind, detail="drill")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _document(status: int, content_type: bytes, body: bytes, extra: bytes = b"") -> bytes:
    lines = (b"HTTP/1.1 %d Drill" % status, b"Content-Type: %b" % content_type, b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n" + extra + b"\r\n" + body


def _error(status: int, extra: bytes = b"") -> bytes:
    return _document(status, b"application/json", _ERROR, extra)


_ERROR = envelope.error("This is a drill.", kind=envelope.SERVER_ERROR, code="drill")
_STREAM_HEAD = b"HTTP/1.1 200 Drill\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_ROLE = sse.event(
    b'{"id":"chatcmpl-drill","object":"chat.completion.chunk","created":0,"model":"drill",'
    b'"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}'
)
_COMPLETION = (
    b'{"id":"chatcmpl-drill","object":"chat.completion","created":0,"model":"drill","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"This is a drill."},"finish_reason":"stop"}]}'
)
_AT_ONCE: dict[Shape, tuple[bytes | Outcome, ...]] = {
    Shape.REFUSED: (_failure(Kind.CONNECT),),
    Shape.DNS: (_failure(Kind.DNS),),
    Shape.TLS: (_failure(Kind.TLS),),
    Shape.RESET: (_failure(Kind.RESET),),
    Shape.SILENT: (),
    Shape.SLOW_START: (),
    Shape.HEADERS_THEN_SILENT: (_STREAM_HEAD,),
    Shape.ROLE_THEN_SILENT: (_STREAM_HEAD, _chunk(_ROLE)),
    Shape.STATUS_401: (_error(401),),
    Shape.STATUS_402: (_error(402),),
    Shape.STATUS_403: (_error(403),),
    Shape.STATUS_500: (_error(500),),
    Shape.STATUS_502: (_error(502),),
    Shape.STATUS_503: (_error(503),),
    Shape.STATUS_504: (_error(504),),
    # The shortest there is: the pause that it asks for must not outlast the drill.
    Shape.STATUS_429: (_error(429, b"Retry-After: 1\r\n"),),
    Shape.STATUS_429_BARE: (_error(429),),
    Shape.HTML: (_document(200, b"text/html", b"<!doctype html><title>Drill</title>"),),
    Shape.ERROR_BODY: (_error(200),),
    Shape.TRUNCATED: (_document(200, b"application/json", _COMPLETION.partition(b"a drill.")[0]),),
    Shape.WRONG_LENGTH: (_document(200, b"application/json", _COMPLETION + b"\n")[:-1], _failure(Kind.CUT)),
}
