"""The URLs.

====== ====================== ==========================================================
GET    /health                200 when ready, else 503; how busy
GET    /v1/models             the one model
GET    /v1/models/{id}        likewise
POST   /v1/chat/completions   chat, streamed or not
POST   /v1/completions        text, streamed or not
POST   /v1/prime              read the beginning of conversations to come, in an idle moment
====== ====================== ==========================================================

A stream's status line goes out when its first choice leaves the queue: until then it can still be refused by status.
"""

import asyncio
import contextlib
import math
import os
import secrets
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from itertools import chain
from typing import Final

from aiohttp import web

from models.engine.event import Ended, Event, Piece, Started
from models.errors import EngineError, ModelsError, RequestError
from models.server import wire
from models.server.generation import Ask, Generation, Terms
from models.server.prompt import Prompt
from models.server.request import (
    ChatBody,
    CompletionBody,
    decode_chat,
    decode_completion,
    plain_messages,
    prompts,
    sampling_params,
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
        encoded = await asyncio.to_thread(_encode_chat, loaded, body, shrinks=SHRINK_HEADER in request.headers)
        form = wire.ChatForm(self._head("chatcmpl", body))
        return await _answer(request, body, loaded, encoded, terms, form)

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/completions."""
        loaded = self._service.ready()
        terms = _terms(request, time.monotonic())
        body = decode_completion(await _read_json(request))
        self._check_model(body.model)
        encoded = await asyncio.to_thread(_encode_text, loaded, body)
        form = wire.CompletionForm(self._head("cmpl", body))
        return await _answer(request, body, loaded, encoded, terms, form)

    async def prime(self, request: web.Request) -> web.Response:
        """POST /v1/prime: a body as for chat, whose messages are the beginning of many conversations."""
        loaded = self._service.ready()
        body = decode_chat(await _read_json(request))
        tokens = await asyncio.to_thread(loaded.encoder.beginning, plain_messages(body.messages))
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
    request: web.Request,
    body: ChatBody | CompletionBody,
    loaded: Loaded,
    encoded: list[Prompt | None],
    terms: Terms,
    form: wire.Form,
) -> web.StreamResponse:
    """`encoded` has a prompt for each choice; None where the client has the whole answer."""
    wanted = {index: prompt for index, prompt in enumerate(encoded) if prompt is not None}
    if body.grammar:
        for delivered in {prompt.seam.delivered for prompt in wanted.values()}:
            await asyncio.to_thread(loaded.check_grammar, body.grammar, delivered)
    seed = int.from_bytes(os.urandom(4), "big") if body.seed is None else body.seed
    asks = build_asks(body, loaded, wanted, seed)
    notes = {SHRUNK_HEADER: "1"} if any(prompt.is_shrunk for prompt in wanted.values()) else {}
    before = _usage_before(list(wanted.values()), body.choices)
    async with Generation(loaded.engine, asks, terms) as generation:
        if body.stream:
            return await _stream(request, generation, form, before, notes, with_usage=body.wants_usage)
        return await _whole(generation, form, before, notes)


def build_asks(
    body: ChatBody | CompletionBody,
    loaded: Loaded,
    wanted: Mapping[int, Prompt],
    seed: int,
) -> dict[int, Ask]:
    """All choices that are `wanted`, by index. The `n` of one prompt have seeds counted up from `seed`."""
    return {
        index: Ask(
            list(prompt.tokens),
            sampling_params(
                body,
                loaded.defaults,
                room_tokens=loaded.context_tokens - len(prompt.tokens),
                seed=seed + index % body.choices,
                vocabulary_size=loaded.vocabulary_size,
                seam=prompt.seam,
                answered=prompt.answered,
            ),
        )
        for index, prompt in wanted.items()
    }


def _usage_before(prompts: list[Prompt], choices: int) -> wire.Usage:
    """A prompt that has several choices counts once, and of answers what the clients have of those that go on."""
    answered = sum(prompt.answered for prompt in prompts)
    distinct = prompts[::choices] if len(prompts) % choices == 0 else prompts[:1]
    return wire.Usage(sum(len(prompt.tokens) - prompt.answered for prompt in distinct), answered)


async def _whole(generation: Generation, form: wire.Form, before: wire.Usage, notes: dict[str, str]) -> web.Response:
    texts: defaultdict[int, list[str]] = defaultdict(list)
    ends: dict[int, Ended] = {}
    async for index, event in generation.events():
        if isinstance(event, Piece):
            texts[index].append(event.text)
        elif isinstance(event, Ended):
            ends[index] = event
    usage = before.and_completed(sum(end.completion_tokens for end in ends.values()))
    rows = {index: wire.Choice("".join(texts[index]), ends[index].finish) for index in sorted(ends)}
    return _json(form.body(rows, usage), headers=notes)


async def _stream(
    request: web.Request,
    generation: Generation,
    form: wire.Form,
    before: wire.Usage,
    notes: dict[str, str],
    *,
    with_usage: bool,
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no", **notes})
    response.content_type = "text/event-stream"
    # A client that leaves while this writes: aiohttp cancels, but perhaps not before the next write has failed.
    with contextlib.suppress(ConnectionResetError):
        completion_tokens = await _tell(request, response, generation, form)
        if completion_tokens is not None:
            usage = form.usage(before.and_completed(completion_tokens)) if with_usage else b""
            await response.write(usage + wire.DONE)
        await response.write_eof()
    return response


async def _tell(
    request: web.Request, response: web.StreamResponse, generation: Generation, form: wire.Form
) -> int | None:
    """Write what happens, up to the end of all choices; returns their tokens, or None if the stream broke off."""
    completion_tokens = 0
    try:
        async for index, event in generation.events():
            if not response.prepared:
                await response.prepare(request)
            if data := _told(form, index, event):
                await response.write(data)
            if isinstance(event, Ended):
                completion_tokens += event.completion_tokens
    except EngineError as error:
        if not response.prepared:
            raise
        await response.write(wire.error_event(error))
        return None
    return completion_tokens


def _told(form: wire.Form, index: int, event: Event) -> bytes:
    match event:
        case Started():
            return form.opening(index)
        case Piece(text):
            return form.piece(index, text)
        case Ended(finish):
            return form.finish(index, finish)
        case _:
            return b""


def _encode_chat(loaded: Loaded, body: ChatBody, *, shrinks: bool) -> list[Prompt | None]:
    messages = plain_messages(body.messages)
    if shrinks:
        return _for_each_choice(
            body, lambda delivered: loaded.encoder.fitting_chat(messages, delivered, body.wanted_tokens)
        )
    return _for_each_choice(body, lambda delivered: loaded.encoder.chat(messages, delivered))


def _encode_text(loaded: Loaded, body: CompletionBody) -> list[Prompt | None]:
    def encode(prompt: str | list[int], delivered: str) -> Prompt:
        encoder = loaded.encoder
        return encoder.text(prompt, delivered) if isinstance(prompt, str) else encoder.tokens(prompt, delivered)

    each = [_for_each_choice(body, partial(encode, prompt)) for prompt in prompts(body)]
    return list(chain.from_iterable(each))


def _for_each_choice(body: ChatBody | CompletionBody, encode: Callable[[str], Prompt]) -> list[Prompt | None]:
    """What is the same for several choices is encoded once."""
    known = {delivered: encode(delivered) for delivered in set(body.delivered) if delivered is not None}
    return [None if delivered is None else known[delivered] for delivered in body.delivered]


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
