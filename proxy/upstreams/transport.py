"""The road out: pooled raw HTTP/1.1 connections to one base URL. This is its door; the parts lie beside it.

    Transport ── dispatch() ──▶ Dispatch ── head, body, end │ failed ──▶ Sink      callbacks: the hot path
        │   └─── send() ──────▶ Exchange                                           coroutines, over the same
        ├── IdlePool            which connection is next, which are too old
        └── Dialler             DNS, TCP, TLS ──▶ Connection ──▶ its Dispatch, while it has one

Bodies pass as the bytes they are: nothing is decompressed, redirected, cached, or read from the environment.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial

from proxy.clock import Clock
from proxy.core.outcome import Kind, Outcome
from proxy.upstreams.connection import Connection
from proxy.upstreams.dialling import Dialler, Site, kind_of
from proxy.upstreams.dispatch import Dispatch, Sink
from proxy.upstreams.exchange import Exchange, Inbox
from proxy.upstreams.failure import AttemptFailed, bounded
from proxy.upstreams.idle import TICK_SECONDS, IdlePool
from proxy.upstreams.upload import in_chunks, of_length
from proxy.wire import http1
from proxy.wire.headers import Fields, as_bytes

__all__ = ["AttemptFailed", "Dispatch", "Exchange", "Outgoing", "Sink", "Transport", "bounded"]

_CLOSED = Outcome(Kind.UNAVAILABLE, detail="closed")
_LIMIT = Outcome(Kind.UNAVAILABLE, detail="connection limit")
_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request as it goes out. `target` is path and query below the base URL; Host and framing are the transport's,
    but for the Content-Length of a body that is an iterator.
    """

    method: str
    target: str
    fields: Fields = field(repr=False)
    body: bytes | AsyncIterator[bytes] | None = field(repr=False)


class Transport:
    """Exchanges with one base URL over a pool of kept-alive connections.

    `max_connections` bounds those that are open or being opened; a request that would need one more fails at once.
    `ssl_context` takes the place of the machine's trust. Raises ValueError for what is no base URL.
    """

    def __init__(
        self,
        base_url: str,
        clock: Clock,
        *,
        max_connections: int | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        site = Site.of(base_url)
        self.origin = f"{site.scheme}://{site.host if site.scheme == 'unix' else site.authority}"
        self.host = site.authority.encode("ascii")
        """The value of Host."""
        self.prefix = site.path.encode("ascii")
        """The base URL's path, without a slash at its end; targets are appended to it."""
        self.now = clock.monotonic
        self._dialler = Dialler(site, clock, ssl_context)
        self._max_connections = max_connections
        self._idle: IdlePool[Connection] = IdlePool()
        self._connections: set[Connection] = set()
        self._dials: set[asyncio.Task[Connection]] = set()
        self._ticker: asyncio.TimerHandle | None = None
        self._is_closed = False

    # ---- requests

    def dispatch(
        self, head: bytes, body: bytes, sink: Sink, connect_seconds: float, *, is_head_request: bool = False
    ) -> Dispatch:
        """Send a request; `head` is complete with its blank line. Never raises, and calls the sink from the loop only,
        never before it has returned.
        """
        dispatch = Dispatch(self, head, body, sink, connect_seconds, is_head_request)
        self.again(dispatch)
        return dispatch

    def again(self, dispatch: Dispatch) -> None:
        """Send a request on the connection that became idle last, or on a new one."""
        connection = self._idle.take()
        if connection is None:
            dispatch.phases.is_reused = False
            self._dial(dispatch)
        else:
            dispatch.phases.is_reused = True
            dispatch.start(connection)

    async def send(self, outgoing: Outgoing, connect_seconds: float) -> Exchange:
        """Send a request and wait for the head of the answer. Raises AttemptFailed."""
        inbox = Inbox()
        head, body = self._render(outgoing)
        dispatch = Dispatch(self, head, body, inbox, connect_seconds, outgoing.method == "HEAD")
        self.again(dispatch)
        try:
            return Exchange(await inbox.open(dispatch), inbox)
        except BaseException:
            dispatch.cancel()
            raise

    def _render(self, outgoing: Outgoing) -> tuple[bytes, bytes | AsyncIterator[bytes]]:
        """Head and framed body. Raises AttemptFailed."""
        fields, body = _framed(outgoing)
        target = self.prefix + as_bytes(outgoing.target)
        try:
            return http1.render_request_head(outgoing.method, target, self.host, fields), body
        except http1.Malformed as error:
            raise AttemptFailed(Outcome(Kind.BAD_ANSWER, detail=str(error))) from None

    # ---- connections

    def _dial(self, dispatch: Dispatch) -> None:
        loop = asyncio.get_running_loop()
        if refusal := self._refusal():
            loop.call_soon(dispatch.fail, refusal)
            return
        factory = partial(Connection, self, self._idle.tick)
        task = loop.create_task(self._dialler.dial(dispatch.connect_seconds, dispatch.phases, factory))
        dispatch.task = task
        self._dials.add(task)
        task.add_done_callback(partial(self._dialled, dispatch))

    def _refusal(self) -> Outcome | None:
        if self._is_closed:
            return _CLOSED
        is_full = (
            self._max_connections is not None and len(self._connections) + len(self._dials) >= self._max_connections
        )
        return _LIMIT if is_full else None

    def _dialled(self, dispatch: Dispatch, task: asyncio.Task[Connection]) -> None:
        """A dial has ended; whatever it raised has failed the request, so that no request waits for nothing."""
        self._dials.discard(task)
        dispatch.task = None
        if task.cancelled():
            dispatch.fail(_CLOSED)
        elif error := task.exception():
            dispatch.fail(Outcome(kind_of(error), detail=type(error).__name__))
        else:
            self._connected(dispatch, task.result())

    def _connected(self, dispatch: Dispatch, connection: Connection) -> None:
        if self._is_closed:
            connection.abort()
            dispatch.fail(_CLOSED)
            return
        self._connections.add(connection)
        if self._ticker is None:
            self._tick_later()
        if connection.is_closing():
            self.lost(connection)
            dispatch.lost("closed before the request", is_clean=False)
        elif dispatch.is_over:
            self.release(connection)
        else:
            dispatch.start(connection)

    def release(self, connection: Connection) -> None:
        """Keep a connection for the next request, unless it is too old."""
        if not self._idle.put(connection):
            connection.abort()

    def lost(self, connection: Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        self._idle.remove(connection)

    def _tick_later(self) -> None:
        self._ticker = asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        """Close what has been idle for too long; once more later, while there is anything that could be."""
        self._ticker = None
        for connection in self._idle.advance():
            connection.abort()
        if self._connections:
            self._tick_later()

    async def close(self) -> None:
        """Cut every connection; the requests under way fail."""
        self._is_closed = True
        if self._ticker is not None:
            self._ticker.cancel()
        for connection in list(self._connections):
            connection.abort()
        for task in self._dials:
            task.cancel()
        await asyncio.gather(*self._dials, return_exceptions=True)


def _framed(outgoing: Outgoing) -> tuple[Fields, bytes | AsyncIterator[bytes]]:
    """The fields with those that frame the body (RFC 9112, section 6), and the body framed like that."""
    fields, body = outgoing.fields, outgoing.body
    if isinstance(body, AsyncIterator):
        length = next((value for name, value in fields if name.lower() == "content-length"), None)
        if length is not None and length.isdecimal():
            return fields, of_length(body, int(length))
        return [*fields, ("Transfer-Encoding", "chunked")], in_chunks(body)
    if body or outgoing.method not in _WITHOUT_BODY:
        fields = [*fields, ("Content-Length", str(len(body or b"")))]
    return fields, body or b""
