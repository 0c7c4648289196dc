"""One HTTP exchange with one origin, over aiohttp's client. The bottom: foreign exceptions are translated here, once.

Bodies pass as the bytes they are: nothing is decompressed, redirected, cached, or read from the environment.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Self, TypeVar

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from proxy.core.outcome import Kind, Outcome
from proxy.errors import HotspareError
from proxy.wire.headers import Fields

T = TypeVar("T")


class AttemptFailed(HotspareError):
    """An exchange did not give an answer. Carries its Outcome, so that nobody has to guess from the text."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(f"{outcome.kind} {outcome.detail}".strip())
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request as it goes out."""

    method: str
    url: URL
    fields: Fields = field(repr=False)
    body: bytes | AsyncIterator[bytes] | None = field(repr=False)


class _Body(aiohttp.Payload):
    """A body in memory, written in slices: others get their turn while ten megabytes go out. It can be sent again."""

    _autoclose = True

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._data = memoryview(data)
        self._size = len(data)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The body as text; aiohttp wants this of every payload."""
        return str(self._data, encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send all of it, waiting whenever the upstream does not read."""
        for start in range(0, len(self._data), _SLICE_BYTES):
            await writer.write(self._data[start : start + _SLICE_BYTES])


def connector_for(base_url: str) -> tuple[aiohttp.BaseConnector, URL]:
    """A connector and the URL to resolve paths against; `unix:///path.sock` is HTTP over a unix socket, under /v1.

    No limit on connections: aiohttp's default of 100 makes the 101st stream wait for the first to end.
    """
    if base_url.startswith("unix://"):
        return aiohttp.UnixConnector(base_url.removeprefix("unix://"), limit=0), URL("http://local/v1")
    return aiohttp.TCPConnector(limit=0, ttl_dns_cache=10), URL(base_url, encoded=True)


_SLICE_BYTES = 2**18
_UNTOUCHED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_STALE_RETRIES = 2


class Transport:
    """Exchanges with one origin over a pool of kept-alive connections."""

    def __init__(self, connector: aiohttp.BaseConnector) -> None:
        self._session = aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_UNTOUCHED,
            trust_env=False,
            trace_configs=[_reuse_trace()],
            read_bufsize=2**18,
        )

    async def send(self, outgoing: Outgoing, connect_seconds: float) -> "Exchange":
        """Send a request and wait for the head of the answer. Raises AttemptFailed.

        A pooled connection can die between the moment it is picked and the moment it is used. That says nothing about
        the upstream: while not a byte has come back the request is sent again on another connection, before anybody
        is blamed. A body that is an iterator can be sent only once, and is.
        """
        retries = _STALE_RETRIES if not isinstance(outgoing.body, AsyncIterator) else 0
        while True:
            trace = SimpleNamespace(is_reused=False)
            try:
                return Exchange(await self._request(outgoing, connect_seconds, trace))
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                kind = _kind_before_head(error)
                if kind is Kind.RESET and trace.is_reused and retries:
                    retries -= 1
                    continue
                raise AttemptFailed(Outcome(kind, detail=type(error).__name__)) from error

    async def _request(
        self, outgoing: Outgoing, connect_seconds: float, trace: SimpleNamespace
    ) -> aiohttp.ClientResponse:
        return await self._session.request(
            outgoing.method,
            outgoing.url,
            headers=outgoing.fields,
            data=_Body(outgoing.body) if isinstance(outgoing.body, bytes) else outgoing.body,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, connect=connect_seconds),
            trace_request_ctx=trace,
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()


class Exchange:
    """The head of an answer, and its body as it comes. Leave the context to free the connection: a body that was
    read to its end keeps it for the next request, any other one closes it, which is what tells the upstream to stop.
    """

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.fields: Fields = list(response.headers.items())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the connection, or cut it if the answer has not ended.

        Cut, not closed: closing would wait for an upstream that does not read to take the rest of a large body.
        """
        connection = self._response.connection
        if connection is not None and connection.transport is not None:
            connection.transport.abort()
        self._response.close()

    @property
    def content_type(self) -> str:
        """The media type without parameters, in lower case."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises AttemptFailed(CUT) if it ends before its framing says so."""
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, OSError) as error:
            raise AttemptFailed(Outcome(Kind.CUT, self.status, detail=type(error).__name__)) from error

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body. Raises AttemptFailed: CUT, or BAD_ANSWER when it is larger than the limit."""
        parts = bytearray()
        async for chunk in self.chunks():
            parts += chunk
            if len(parts) > limit_bytes:
                raise AttemptFailed(Outcome(Kind.BAD_ANSWER, self.status, detail="answer too large"))
        return bytes(parts)


_KINDS_BEFORE_HEAD: tuple[tuple[type[BaseException], Kind], ...] = (
    (aiohttp.ClientConnectorDNSError, Kind.DNS),
    (aiohttp.ClientSSLError, Kind.TLS),
    (aiohttp.ConnectionTimeoutError, Kind.CONNECT_TIMEOUT),
    (aiohttp.ClientConnectorError, Kind.CONNECT),
    (aiohttp.ServerDisconnectedError, Kind.RESET),
    (aiohttp.ClientOSError, Kind.RESET),
    (aiohttp.ClientConnectionError, Kind.RESET),
    (aiohttp.ClientPayloadError, Kind.CUT),
    (aiohttp.ClientResponseError, Kind.BAD_ANSWER),
    (aiohttp.ClientError, Kind.BAD_ANSWER),
    (TimeoutError, Kind.CONNECT_TIMEOUT),
    (OSError, Kind.RESET),
    (ValueError, Kind.BAD_ANSWER),
)
"""The first match names the failure; subclasses stand before their bases."""


def _kind_before_head(error: BaseException) -> Kind:
    return next(kind for exception, kind in _KINDS_BEFORE_HEAD if isinstance(error, exception))


def _reuse_trace() -> aiohttp.TraceConfig:
    async def reused(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
        context.trace_request_ctx.is_reused = True

    trace = aiohttp.TraceConfig()
    trace.on_connection_reuseconn.append(reused)
    return trace


async def bounded(seconds: float, kind: Kind, awaitable: Awaitable[T]) -> T:
    """Await with a limit; past it the attempt has failed with `kind`."""
    try:
        async with asyncio.timeout(max(seconds, 0.0)):
            return await awaitable
    except TimeoutError:
        raise AttemptFailed(Outcome(kind)) from None
