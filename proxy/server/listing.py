"""GET /v1/models: what can be served now, by the clouds that answer and by the local model."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from proxy.clock import Clock
from proxy.errors import RequestInvalid
from proxy.server.account import ACCOUNT
from proxy.server.response import answer_fields
from proxy.upstreams.transport import AttemptFailed
from proxy.upstreams.upstream import Call, Upstream
from proxy.wire import headers, models

_PATIENCE_SECONDS = 3.0
"""A list is looked at while somebody waits for a page to load; a cloud that takes longer is left out of it."""
_NEGOTIATED = frozenset({"accept-encoding"})
_LIST_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Listing:
    """`local_model` names the model that can answer here now, if there is one."""

    clouds: Sequence[Upstream]
    public_names: Sequence[str]
    local_model: Callable[[], str | None]
    clock: Clock

    async def handle_list(self, request: web.Request) -> web.Response:
        """All of them."""
        return _response(request, models.encode_list(await self._collect(request)))

    async def handle_one(self, request: web.Request) -> web.Response:
        """One of them. Raises RequestInvalid (404)."""
        wanted = request.match_info["model"]
        for model in await self._collect(request):
            if model["id"] == wanted:
                return _response(request, models.encode_entry(model))
        message = f"The model {wanted!r} does not exist or cannot be served now."
        raise RequestInvalid(message, status=404, param="model", code="model_not_found")

    async def _collect(self, request: web.Request) -> list[dict[str, Any]]:
        fields = headers.without(request.headers.items(), _NEGOTIATED)
        call = Call("GET", "/models", fields, None)
        lists = await asyncio.gather(*(self._ask(upstream, call) for upstream in self.clouds))
        created = int(self.clock.wall())
        answering = bool(any(lists))
        mapped = [models.entry(name, "hotspare", created) for name in self.public_names] if answering else []
        local = self.local_model()
        own = [models.entry(local, "hotspare", created)] if local else []
        return models.merged([*lists, mapped, own])

    async def _ask(self, upstream: Upstream, call: Call) -> list[dict[str, Any]]:
        """A cloud's list; empty if it does not give one."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS), await upstream.send(call, _PATIENCE_SECONDS) as exchange:
                return models.entries(await exchange.read(_LIST_BYTES)) if exchange.status == 200 else []
        except (AttemptFailed, TimeoutError):
            return []


def _response(request: web.Request, body: bytes) -> web.Response:
    fields = answer_fields([], request[ACCOUNT])
    return web.Response(headers=fields, body=body, content_type="application/json")
