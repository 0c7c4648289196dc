"""Every other path below /v1: passed to the cloud unchanged, any method, streamed both ways.

There is nothing to fail over to but another cloud, and only before the request was sent: its body is gone with the
first attempt. Even that holds only for paths that do not refer to what one upstream has stored: a file, a batch or a
thread of the first upstream means nothing to the second, and an honest 503 is better than its 404.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from aiohttp import web

from proxy.core.action import GiveUp, Timeouts, Tried
from proxy.core.candidates import Plan
from proxy.core.failover import DEFAULT_RETRY_AFTER_SECONDS
from proxy.core.outcome import Kind
from proxy.errors import RequestInvalid
from proxy.server.account import ACCOUNT, Account
from proxy.server.response import answer_fields, unavailable
from proxy.telemetry.events import Result
from proxy.upstreams.transport import AttemptFailed, Exchange
from proxy.upstreams.upstream import Call, Upstream

_STATELESS = ("/images/", "/audio/", "/moderations")
_BEFORE_SENDING = frozenset({Kind.DNS, Kind.CONNECT, Kind.CONNECT_TIMEOUT, Kind.TLS})


@dataclass(frozen=True, slots=True)
class Passthrough:
    """`clouds` in order of preference."""

    clouds: Sequence[Upstream]
    timeouts: Mapping[str, Timeouts]

    async def handle(self, request: web.Request, call_target: str) -> web.StreamResponse:
        """Pass one request on. Raises RequestInvalid."""
        _check(request, call_target, self.clouds)
        account = request[ACCOUNT]
        call = Call(request.method, call_target, list(request.headers.items()), _body(request))
        clouds = self.clouds if call_target.startswith(_STATELESS) else self.clouds[:1]
        tried: list[Tried] = []
        for upstream in clouds:
            account.attempts += 1
            account.upstream = upstream.name
            account.tried = tuple(tried)
            try:
                exchange = await upstream.send(call, self.timeouts[upstream.name].connect_seconds)
            except AttemptFailed as failure:
                tried.append(Tried(upstream.name, failure.outcome.kind))
                if failure.outcome.kind in _BEFORE_SENDING:
                    continue
                break
            return await _copy(exchange, request, account)
        return unavailable(GiveUp(tuple(tried), DEFAULT_RETRY_AFTER_SECONDS), Plan((), {}), account).as_web()


def _check(request: web.Request, call_target: str, clouds: Sequence[Upstream]) -> None:
    path = unquote(call_target.partition("?")[0]).replace("\\", "/")  # as the most lenient server would read it
    if not {".", ".."}.isdisjoint(path.split("/")):
        raise RequestInvalid("The path may not contain '.' or '..' segments.", code="invalid_path")
    if "upgrade" in request.headers.get("Connection", "").lower():
        message = "WebSockets are not supported; use the HTTP endpoints."
        raise RequestInvalid(message, status=501, code="unsupported")
    if not clouds:
        message = (
            f"The local model cannot serve {request.method} {request.path}, and no cloud upstream is configured. "
            "Add one under 'upstreams' in the configuration."
        )
        raise RequestInvalid(message, status=404, code="unknown_url")


def _body(request: web.Request) -> AsyncIterator[bytes] | None:
    return request.content.iter_any() if request.can_read_body else None


async def _copy(exchange: Exchange, request: web.Request, account: Account) -> web.StreamResponse:
    """Send the answer on as it comes. One that breaks is cut, so that nobody takes it for whole."""
    async with exchange:
        response = web.StreamResponse(status=exchange.status, headers=answer_fields(exchange.fields, account))
        if "Content-Length" in exchange.headers:
            response.content_length = int(exchange.headers["Content-Length"])
        account.is_committed = True
        await response.prepare(request)
        try:
            async for chunk in exchange.chunks():
                await response.write(chunk)
        except AttemptFailed:
            account.result = Result.BROKEN_OFF
            if request.transport is not None:
                request.transport.abort()
            return response
        await response.write_eof()
        return response
