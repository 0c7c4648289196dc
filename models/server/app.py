"""The URLs.

====== ====================== ==========================================================
GET    /health                200 when ready, else 503; how busy
GET    /v1/models             the one model
GET    /v1/models/{id}        likewise
POST   /v1/chat/completions   chat, streamed or not
POST   /v1/completions        text, streamed or not
POST   /v1/embeddings         vectors, of a model that makes them
POST   /v1/prime              read the beginning of conversations to come, in an idle moment
====== ====================== ==========================================================
"""

import asyncio
import math
import os
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from models.errors import ModelsError, RequestError
from models.server import wire
from models.server.embeddings import EmbeddingBody, embed
from models.server.generation import Generation, Terms
from models.server.messages import plain_messages
from models.server.plan import Plan, plan_chat, plan_text
from models.server.reply import Reply
from models.server.request import (
    BeginningBody,
    ChatBody,
    CompletionBody,
    decode,
    decode_chat,
    decode_completion,
)
from models.server.service import Loaded, Phase, Service

CLIENT_HEADER: Final = "x-hotspare-client"
DEADLINE_HEADER: Final = "x-hotspare-deadline-seconds"
SHRINK_HEADER: Final = "x-hotspare-shrink"
"""Of a request: a conversation that is too long is to be shortened, not refused."""

SHRUNK_HEADER: Final = "x-hotspare-shrunk"
"""Of an answer: it was."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build_app(service: Service, body_limit_bytes: int) -> web.Application:
    """All routes over one service."""
    routes = Routes(service)
    app = web.Application(client_max_size=body_limit_bytes, middlewares=[envelope_errors])
    app.router.add_get("/health", routes.health)
    app.router.add_get("/v1/models", routes.list_models)
    app.router.add_get("/v1/models/{id:.+}", routes.show_model)
    app.router.add_post("/v1/chat/completions", routes.chat)
    app.router.add_post("/v1/completions", routes.complete)
    app.router.add_post("/v1/embeddings", routes.embed)
    app.router.add_post("/v1/prime", routes.prime)
    return app


@web.middleware
async def envelope_errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Give every error OpenAI's shape."""
    try:
        return await handler(request)
    except ModelsError as error:
        refusal = wire.refusal(error)
        retry = {} if refusal.retry_after_seconds is None else {"Retry-After": str(refusal.retry_after_seconds)}
        return _json(refusal.body, refusal.status, retry)
    except web.HTTPNotFound:
        unknown = RequestError(f"Invalid URL ({request.method} {request.path})", status=404, code="unknown_url")
        return _json(wire.refusal(unknown).body, 404)
    except web.HTTPMethodNotAllowed as wrong:
        refused = RequestError(f"Not allowed to {request.method} on {request.path}", status=405)
        return _json(wire.refusal(refused).body, 405, {"Allow": ", ".join(sorted(wrong.allowed_methods))})
    except web.HTTPRequestEntityTooLarge as large:
        too_large = RequestError(f"the request body is larger than this server takes: {large.text}", status=413)
        return _json(wire.refusal(too_large).body, 413)


class Routes:
    """The handlers."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def health(self, _request: web.Request) -> web.Response:
        """Whether requests are taken now."""
        service, busy = self._service, self._service.snapshot()
        body = {
            "status": _status(service.phase),
            "phase": service.phase,
            "model": service.model,
            "running": busy.running,
            "queued": busy.queued,
            "kept_tokens": busy.kept_tokens,
            "read_tokens": busy.read_tokens,
            "inherited_tokens": busy.inherited_tokens,
            "generated_tokens": busy.generated_tokens,
            "preempted": busy.preempted,
        }
        return _json(wire.encode(body), 200 if service.phase is Phase.READY else 503)

    async def list_models(self, _request: web.Request) -> web.Response:
        """The served model as a list."""
        row = wire.model_object(self._service.model, self._service.created)
        return _json(wire.encode({"object": "list", "data": [row]}))

    async def show_model(self, request: web.Request) -> web.Response:
        """The served model, if it is the one that is asked for."""
        self._check_model(request.match_info["id"])
        return _json(wire.encode(wire.model_object(self._service.model, self._service.created)))

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions."""
        loaded = self._service.ready()
        terms = _terms(request, time.monotonic())
        body = decode_chat(await _read_json(request))
        self._check_model(body.model)
        shrinks = SHRINK_HEADER in request.headers
        plan = await asyncio.to_thread(plan_chat, loaded, body, _seed(body), shrinks=shrinks)
        is_legacy = body.offer is not None and body.offer.is_legacy
        form = wire.ChatForm(
            self._head("chatcmpl", body), _call_id, has_logprobs=bool(body.logprobs), is_legacy=is_legacy
        )
        return await _answer(request, body, loaded, plan, terms, form)

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/completions."""
        loaded = self._service.ready()
        terms = _terms(request, time.monotonic())
        body = decode_completion(await _read_json(request))
        self._check_model(body.model)
        plan = await asyncio.to_thread(plan_text, loaded, body, _seed(body))
        form = wire.CompletionForm(self._head("cmpl", body), has_logprobs=body.logprobs is not None)
        return await _answer(request, body, loaded, plan, terms, form)

    async def embed(self, request: web.Request) -> web.Response:
        """POST /v1/embeddings."""
        embedder = self._service.ready_embedder()
        terms = _terms(request, time.monotonic())
        body = decode(await _read_json(request), EmbeddingBody)
        self._check_model(body.model)
        return _json(await embed(embedder, body, terms))

    async def prime(self, request: web.Request) -> web.Response:
        """POST /v1/prime: a body as for chat, whose tools and messages are the beginning of many conversations."""
        loaded = self._service.ready()
        body = decode(await _read_json(request), BeginningBody)
        tools = body.offer.tools if body.offer else None
        tokens = await asyncio.to_thread(loaded.encoder.beginning, plain_messages(body.messages), tools)
        if tokens:
            loaded.engine.prime(tokens, client=request.headers.get(CLIENT_HEADER, ""))
        return _json(wire.encode({"tokens": len(tokens)}), 202)

    def _check_model(self, name: str) -> None:
        if name != self._service.model:
            raise RequestError(
                f"The model `{name}` does not exist here: this server runs `{self._service.model}`.",
                status=404,
                param="model",
                code="model_not_found",
            )

    def _head(self, prefix: str, body: ChatBody | CompletionBody) -> wire.Head:
        return wire.Head(f"{prefix}-{secrets.token_hex(12)}", int(time.time()), self._service.model, body.wants_usage)


async def _answer(
    request: web.Request, body: ChatBody | CompletionBody, loaded: Loaded, plan: Plan, terms: Terms, form: wire.Form
) -> web.StreamResponse:
    notes = {SHRUNK_HEADER: "1"} if plan.is_shrunk else {}
    reply = Reply(form, plan.answers, plan.before, body.choices, notes)
    async with Generation(loaded.engine, plan.asks, terms) as generation:
        if body.stream:
            return await reply.stream(request, generation, with_usage=body.wants_usage)
        return await reply.whole(generation)


def _seed(body: ChatBody | CompletionBody) -> int:
    return int.from_bytes(os.urandom(4), "big") if body.seed is None else body.seed


def _call_id() -> str:
    return f"call_{secrets.token_hex(12)}"


def _status(phase: Phase) -> str:
    return phase if phase in {Phase.READY, Phase.STOPPING} else "loading"


async def _read_json(request: web.Request) -> bytes:
    kind = request.content_type
    if kind != "application/json" and not kind.endswith("+json"):
        raise RequestError(f"Content-Type must be application/json, not {kind}", status=415)
    return await request.read()


def _terms(request: web.Request, now: float) -> Terms:
    given = request.headers.get(DEADLINE_HEADER)
    return Terms(request.headers.get(CLIENT_HEADER, ""), None if given is None else now + _seconds(given))


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if math.isnan(seconds):
        raise RequestError(f"{DEADLINE_HEADER} must be a number of seconds", param=DEADLINE_HEADER)
    return seconds


def _json(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")
