"""The middleware: who is let in, what becomes of exceptions, and one event for each request."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from proxy.errors import RequestInvalid
from proxy.server.account import ACCOUNT
from proxy.server.middleware import InFlight, Reception
from proxy.server.settings import Client
from proxy.telemetry.events import Endpoint, Event, FaultCaught, RequestEnded, Result
from tests.unit.stand_ins import FakeClock

CLIENT = Client("billing", hashlib.sha256(b"sk-billing").digest())
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Desk:
    """A reception, and what it told."""

    def __init__(self, *clients: Client) -> None:
        self.events: list[Event] = []
        self.in_flight = InFlight()
        self.reception = Reception(clients, FakeClock(), self.events.append, self.in_flight, frozenset({"/livez"}))

    async def receive(
        self, handler: Handler, path: str = "/v1/chat/completions", **headers: str
    ) -> tuple[web.StreamResponse, web.Request]:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        request = make_mocked_request("POST", path, headers=fields)
        return await self.reception.receive(request, handler), request

    @property
    def ended(self) -> RequestEnded:
        (event,) = [event for event in self.events if isinstance(event, RequestEnded)]
        return event


async def answer(request: web.Request) -> web.StreamResponse:
    return web.Response(text=request[ACCOUNT].client)


def raising(error: BaseException) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        raise error

    return handler


def code(response: web.StreamResponse) -> object:
    assert isinstance(response, web.Response)
    assert isinstance(response.body, bytes)
    return json.loads(response.body)["error"]["code"]


async def test_anybody_is_let_in_where_nobody_is_named() -> None:
    response, _ = await Desk().receive(answer)
    assert response.status == 200


async def test_client_is_known_by_its_key() -> None:
    desk = Desk(Client("other", hashlib.sha256(b"x").digest()), CLIENT)
    await desk.receive(answer, authorization="Bearer sk-billing")
    assert desk.ended.client == "billing"


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer sk-wrong", "Basic sk-billing", "sk-billing"])
async def test_stranger_is_refused(authorization: str) -> None:
    desk = Desk(CLIENT)
    response, _ = await desk.receive(answer, authorization=authorization)
    assert (response.status, code(response)) == (401, "invalid_api_key")
    assert desk.ended.result is Result.CALLER_ERROR


async def test_request_id_of_the_client_is_kept_if_it_is_fit() -> None:
    desk = Desk()
    await desk.receive(answer, x_request_id="trace-7")
    assert desk.ended.request_id == "trace-7"


async def test_request_id_that_is_unfit_is_replaced() -> None:
    desk = Desk()
    await desk.receive(answer, x_request_id="a b")
    assert desk.ended.request_id not in ("", "a b")


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        ("/v1/chat/completions", Endpoint.CHAT),
        ("/v1/embeddings", Endpoint.EMBEDDINGS),
        ("/v1/models", Endpoint.MODELS),
        ("/v1/files/secret", Endpoint.OTHER),
        ("/", Endpoint.OTHER),
    ],
)
async def test_endpoint_is_one_of_a_closed_set(path: str, endpoint: Endpoint) -> None:
    desk = Desk()
    await desk.receive(answer, path)
    assert desk.ended.endpoint is endpoint


async def test_operations_pages_are_no_requests_of_clients() -> None:
    desk = Desk(CLIENT)

    async def page(request: web.Request) -> web.StreamResponse:
        return web.Response(text="ok")

    response, _ = await desk.receive(page, "/livez")
    assert (response.status, desk.events) == (200, [])


async def test_invalid_request_is_answered_as_it_says() -> None:
    desk = Desk()
    response, _ = await desk.receive(raising(RequestInvalid("x", status=413, code="request_too_large", closes=True)))
    assert (response.status, code(response), response.keep_alive) == (413, "request_too_large", False)
    assert desk.ended.result is Result.CALLER_ERROR


async def test_unknown_path_is_an_openai_shaped_404() -> None:
    response, _ = await Desk().receive(raising(web.HTTPNotFound()), "/v2/chat")
    assert (response.status, code(response)) == (404, "unknown_url")


async def test_wrong_method_names_the_right_ones() -> None:
    response, _ = await Desk().receive(raising(web.HTTPMethodNotAllowed("GET", ["POST"])))
    assert (response.status, response.headers["Allow"], code(response)) == (405, "POST", "method_not_allowed")


async def test_fault_of_ours_is_a_500_that_gives_nothing_away() -> None:
    desk, fault = Desk(), KeyError("prompt of the client")
    response, _ = await desk.receive(raising(fault))
    assert isinstance(response, web.Response)
    assert (response.status, code(response)) == (500, "proxy_fault")
    assert "prompt" not in str(response.body)
    assert desk.events[0] == FaultCaught("request", fault)
    assert desk.ended.result is Result.FAULT


async def test_fault_in_the_middle_of_an_answer_cuts_the_connection() -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        request[ACCOUNT].is_committed = True
        raise KeyError

    desk = Desk()
    with pytest.raises(ConnectionResetError):
        await desk.receive(half)
    assert [event.where for event in desk.events if isinstance(event, FaultCaught)] == ["request"]


@pytest.mark.parametrize("error", [ConnectionResetError(), asyncio.CancelledError()])
async def test_client_that_left_is_counted_and_not_answered(error: BaseException) -> None:
    desk = Desk()
    with pytest.raises(type(error)):
        await desk.receive(raising(error))
    assert (desk.ended.status, desk.ended.result) == (499, Result.CLIENT_GONE)


async def test_requests_in_flight_are_counted_while_they_are() -> None:
    desk = Desk()
    seen: list[int] = []

    async def look(request: web.Request) -> web.StreamResponse:
        seen.append(desk.in_flight.count)
        raise KeyError

    await desk.receive(look)
    assert (seen, desk.in_flight.count) == ([1], 0)
