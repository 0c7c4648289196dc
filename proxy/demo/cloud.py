"""The pretend cloud: a real HTTP server on loopback that streams a scripted answer, until it is killed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web

from proxy.clock import Clock
from proxy.demo.story import CLOUD_MODEL

_CREATED = 1700000000


class Cloud:
    """Says `words`, one each `word_seconds`, to whoever asks anything; then nothing more. See `serving`."""

    def __init__(self, words: Sequence[str], word_seconds: float, clock: Clock) -> None:
        self._words = words
        self._word_seconds = word_seconds
        self._clock = clock
        self._has_spoken = asyncio.Event()
        self._runner = web.AppRunner(
            self._application(), access_log=None, handler_cancellation=True, shutdown_timeout=0.0
        )
        self.died_at: float | None = None
        """On the clock's monotonic scale; None while it lives."""

    @property
    def base_url(self) -> str:
        """Where it listens, or did."""
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}/v1"

    async def start(self) -> None:
        """Listen on a free port."""
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()

    async def die_in_mid_sentence(self) -> None:
        """Wait for the last of the words to be said, then pull the plug."""
        await self._has_spoken.wait()
        await asyncio.sleep(self._word_seconds)
        await self.kill()

    async def kill(self) -> None:
        """What `kill -9` does to a server: nobody listens any more, and connections end where they are."""
        for site in self._runner.sites:
            await site.stop()
        assert self._runner.server
        for connection in self._runner.server.connections:
            if connection.transport:
                connection.transport.abort()
        self.died_at = self._clock.monotonic()

    async def close(self) -> None:
        """Let go of everything."""
        await self._runner.cleanup()

    def _application(self) -> web.Application:
        application = web.Application()
        application.router.add_post("/v1/chat/completions", self._answer)
        application.router.add_get("/v1/models", self._list)
        return application

    async def _list(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": CLOUD_MODEL, "object": "model"}]})

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(_event({"role": "assistant", "content": ""}))
        for word in self._words:
            await asyncio.sleep(self._word_seconds)
            await response.write(_event({"content": word}))
        self._has_spoken.set()
        await asyncio.Event().wait()  # until its connection goes
        return response


def _event(delta: dict[str, Any]) -> bytes:
    chunk = {
        "id": "chatcmpl-demo",
        "object": "chat.completion.chunk",
        "created": _CREATED,
        "model": CLOUD_MODEL,
        "choices": [{"index": 0, "delta": delta, "finish_reason": None}],
    }
    return b"data: %b\n\n" % msgspec.json.encode(chunk)


@asynccontextmanager
async def serving(words: Sequence[str], word_seconds: float, clock: Clock) -> AsyncIterator[Cloud]:
    """A cloud that listens."""
    cloud = Cloud(words, word_seconds, clock)
    try:
        await cloud.start()
        yield cloud
    finally:
        await cloud.close()
