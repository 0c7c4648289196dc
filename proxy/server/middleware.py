"""Around every request: an account of it, a known client, and an OpenAI-shaped answer whatever goes wrong."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler

from proxy.clock import Clock
from proxy.errors import RequestInvalid
from proxy.server.account import ACCOUNT, Account
from proxy.server.response import error_response
from proxy.server.settings import Client
from proxy.telemetry.events import Emit, Endpoint, FaultCaught, Result
from proxy.wire import headers

_ENDPOINTS = {f"/v1/{endpoint.value}": endpoint for endpoint in Endpoint}


_CLIENT_GONE = 499
"""nginx's status for a client that left before it had its answer."""


class InFlight:
    """How many requests are being served."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


@dataclass(frozen=True, slots=True)
class Reception:
    """The middleware: opens the account, lets the client in, closes the account."""

    clients: tuple[Client, ...]
    clock: Clock
    emit: Emit
    in_flight: InFlight
    unaccounted: frozenset[str]
    """Paths of the operations pages: scrapes and probes are no requests of clients."""

    async def receive(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Serve one request."""
        if request.path in self.unaccounted:
            return await handler(request)
        account = request[ACCOUNT] = self._open(request)
        status = _CLIENT_GONE
        self.in_flight.count += 1
        try:
            response = await self._answer(request, handler, account)
            status = response.status
            return response
        finally:
            self.in_flight.count -= 1
            if status == _CLIENT_GONE:
                account.result = Result.CLIENT_GONE
            self.emit(account.closed(status, self.clock.monotonic()))

    def _open(self, request: web.Request) -> Account:
        given = request.headers.get("x-request-id", "")
        return Account(
            request_id=given if headers.is_request_id(given) else secrets.token_hex(8),
            endpoint=_ENDPOINTS.get(request.path, Endpoint.OTHER),
            method=request.method,
            started_at=self.clock.monotonic(),
        )

    async def _answer(self, request: web.Request, handler: Handler, account: Account) -> web.StreamResponse:
        try:
            account.client = self._client(request)
            return await handler(request)
        except RequestInvalid as error:
            account.result = Result.CALLER_ERROR
            return _refusal(error, account)
        except web.HTTPException as error:
            account.result = Result.CALLER_ERROR
            return _routing_error(error, request, account)
        except ConnectionError:
            raise
        except Exception as error:
            account.result = Result.FAULT
            self.emit(FaultCaught("request", error))
            if account.is_committed:
                raise ConnectionResetError("half an answer is out: cut the connection") from error
            return error_response(500, "The proxy failed on this request; see its log.", account, code="proxy_fault")

    def _client(self, request: web.Request) -> str:
        """The client's name; empty where nobody has to say who he is. Raises RequestInvalid (401)."""
        if not self.clients:
            return ""
        key = headers.bearer(request.headers.get("Authorization"))
        digest = hashlib.sha256(key.encode(errors="surrogateescape")).digest()
        # Every digest is compared, and in constant time: how long it takes says nothing about how close a guess was.
        found = [client.name for client in self.clients if hmac.compare_digest(client.key_digest, digest)]
        if not found:
            message = "Incorrect API key provided. This proxy's keys are listed under 'clients' in its configuration."
            raise RequestInvalid(message, status=401, code="invalid_api_key")
        return found[0]


def _refusal(error: RequestInvalid, account: Account) -> web.Response:
    response = error_response(error.status, error.message, account, param=error.param, code=error.code)
    if error.closes:
        response.force_close()
    return response


def _routing_error(error: web.HTTPException, request: web.Request, account: Account) -> web.Response:
    """404 and 405 as aiohttp's router finds them."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        message = f"{request.method} is not allowed for {request.path}; use {allowed}."
        response = error_response(405, message, account, code="method_not_allowed")
        response.headers["Allow"] = allowed
        return response
    message = f"Unknown request URL: {request.method} {request.path}. The API is below /v1."
    return error_response(error.status, message, account, code="unknown_url")
