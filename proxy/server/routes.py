"""Every URL on one screen."""

from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import web
from aiohttp.typedefs import Handler

from proxy.server import drills
from proxy.server.body import expect_continue
from proxy.server.drills import DrillPage
from proxy.server.listing import Listing
from proxy.server.middleware import Reception
from proxy.server.operations import Operations
from proxy.server.passthrough import Passthrough
from proxy.server.relay import Relay

OPERATIONS = ("/metrics", "/livez", "/readyz")

Handle = Callable[[web.Request, str], Awaitable[web.StreamResponse]]


def add_api(app: web.Application, relay: Relay, listing: Listing, passthrough: Passthrough) -> None:
    """What clients use."""
    expect = partial(expect_continue, settings=relay.settings)
    failing_over, passing = _below_v1(relay.handle), _below_v1(passthrough.handle)

    app.router.add_post("/v1/chat/completions", failing_over, expect_handler=expect)
    app.router.add_post("/v1/completions", failing_over, expect_handler=expect)
    app.router.add_post("/v1/embeddings", failing_over, expect_handler=expect)
    app.router.add_get("/v1/models", listing.handle_list)
    app.router.add_get("/v1/models/{model:.+}", listing.handle_one)
    app.router.add_delete("/v1/models/{model:.+}", passing)
    app.router.add_get("/v1/chat/completions", passing)  # the list of stored completions
    for taken in ("/v1/completions", "/v1/embeddings", "/v1/models"):
        app.router.add_route("*", taken, _not_allowed)
    app.router.add_route("*", "/v1/{rest:.+}", passing)


def add_operations(app: web.Application, operations: Operations) -> None:
    """What operators use."""
    for path, handler in zip(OPERATIONS, (operations.metrics, operations.livez, operations.readyz), strict=True):
        app.router.add_get(path, handler)


def add_drills(app: web.Application, page: DrillPage) -> None:
    """What operators use to make outages; only where that is allowed."""
    app.router.add_post(drills.PATH, page.start)
    app.router.add_get(drills.PATH, page.show)
    app.router.add_delete(drills.PATH, page.stop)


def application(reception: Reception) -> web.Application:
    """An application without URLs, with the middleware around all that it will have."""

    @web.middleware
    async def receive(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await reception.receive(request, handler)

    return web.Application(middlewares=[receive])


_ALLOWED = {"/v1/models": "GET"}


async def _not_allowed(request: web.Request) -> web.StreamResponse:
    raise web.HTTPMethodNotAllowed(request.method, [_ALLOWED.get(request.path, "POST")])


def _below_v1(handle: Handle) -> Handler:
    """Hand over path and query below /v1 exactly as they were sent."""

    async def handler(request: web.Request) -> web.StreamResponse:
        return await handle(request, "/" + request.raw_path.partition("/v1/")[2])

    return handler
