"""Around every request: an account of it, a known client, and an OpenAI-shaped answer whatever goes wrong."""

import hashlib
import hmac
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from aiohttp import web
from aiohttp.typedefs import Handler

from proxy.clock import Clock
from proxy.errors import RequestInvalid
from proxy.server.account import ACCOUNT, CLIENT_GONE, Account
from proxy.server.response import FAULT_MESSAGE, OwnAnswer, error_answer, refusal
from proxy.server.settings import Client
from proxy.telemetry.events import Emit, Endpoint, FaultCaught, Result
from proxy.wire import headers

_ENDPOINTS = {f"/v1/{endpoint.value}": endpoint for endpoint in Endpoint}


def endpoint_of(path: str) -> Endpoint:
    """What a path asks for."""
    return _ENDPOINTS.get(path, Endpoint.OTHER)


class InFlight:
    """How many requests are being served."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


@dataclass(frozen=True, slots=True)
class Reception:
    """Opens an account, lets the client in, closes the account: for the lane by itself, for aiohttp as a middleware."""

    clients: tuple[Client, ...]
    clock: Clock
    emit: Emit
    in_flight: InFlight
    unaccounted: frozenset[str]
    """Paths of the operations pages: scrapes and probes are no requests of clients."""
    _process: str = field(default_factory=lambda: secrets.token_hex(5))
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def open(self, endpoint: Endpoint, method: str, given_id: str, client: str = "") -> Account:
        """A request begins. `given_id` is the client's own name for it, if any."""
        self.in_flight.count += 1
        request_id = given_id or f"{self._process}-{next(self._numbers):x}"
        return Account(request_id, endpoint, method, self.clock.monotonic(), client)

    def close(self, account: Account, status: int) -> None:
        """It has ended; the client has seen `status`."""
        self.in_flight.count -= 1
        self.emit(account.closed(status, self.clock.monotonic()))

    def client(self, authorization: str | None) -> str:
        """The client's name; empty where nobody has to say who he is. Raises RequestInvalid (401)."""
        if not self.clients:
            return ""
        key = headers.bearer(authorization)
        digest = hashlib.sha256(headers.as_bytes(key)).digest()
        # Every digest is compared, and in constant time: how long it takes says nothing about how close a guess was.
        found = [client.name for client in self.clients if hmac.compare_digest(client.key_digest, digest)]
        if not found:
            message = "Incorrect API key provided. This proxy's keys are listed under 'clients' in its configuration."
            raise RequestInvalid(message, status=401, code="invalid_api_key")
        return found[0]

    def fault(self, error: Exception, account: Account) -> OwnAnswer:
        """A mistake of ours is told; what the client gets, if it has not got anything yet."""
        account.result = Result.FAULT
        self.emit(FaultCaught("request", error))
        return error_answer(500, FAULT_MESSAGE, account, code="proxy_fault")

    async def receive(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The middleware."""
        if request.path in self.unaccounted:
            return await handler(request)
        given = request.headers.get("x-request-id", "")
        account = self.open(endpoint_of(request.path), request.method, given if headers.is_request_id(given) else "")
        request[ACCOUNT] = account
        status = CLIENT_GONE
        try:
            response = await self._answer(request, handler, account)
            status = response.status
            return response
        finally:
            if status == CLIENT_GONE:
                account.result = Result.CLIENT_GONE
            self.close(account, status)

    async def _answer(self, request: web.Request, handler: Handler, account: Account) -> web.StreamResponse:
        try:
            account.client = self.client(request.headers.get("Authorization"))
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
            answer = self.fault(error, account)
            if account.is_committed:
                raise ConnectionResetError("half an answer is out: cut the connection") from error
            return answer.as_web()


def _refusal(error: RequestInvalid, account: Account) -> web.Response:
    response = refusal(error, account).as_web()
    if error.closes:
        response.force_close()
    return response


def _routing_error(error: web.HTTPException, request: web.Request, account: Account) -> web.Response:
    """404 and 405 as aiohttp's router finds them."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        message = f"{request.method} is not allowed for {request.path}; use {allowed}."
        response = error_answer(405, message, account, code="method_not_allowed").as_web()
        response.headers["Allow"] = allowed
        return response
    message = f"Unknown request URL: {request.method} {request.path}. The API is below /v1."
    return error_answer(error.status, message, account, code="unknown_url").as_web()
