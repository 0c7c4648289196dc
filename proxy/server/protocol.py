"""Answers to what is no HTTP: aiohttp's parser refuses it before there is a request that the middleware could see."""

import asyncio

from aiohttp import web

from proxy.wire import envelope

_MESSAGE = (
    "The request is not valid HTTP, or its head is too large: a line may have 8 KiB, a header field 32 KiB, and a "
    "request 128 of them."
)


class Runner(web.AppRunner):
    """An application's runner whose connections speak Protocol."""

    __slots__ = ()

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return _Server(
            server.request_handler,
            request_factory=server.request_factory,
            loop=asyncio.get_running_loop(),
            **self._kwargs,
        )


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return Protocol(self, loop=self._loop, **self._kwargs)


class Protocol(web.RequestHandler):
    """One connection of a client."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer in OpenAI's shape. The bytes at fault, which aiohttp puts into `exc` and `message`, may be a key or a
        prompt: they go neither into the answer nor into the log.
        """
        if status >= 500 or request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        body = envelope.error(_MESSAGE, kind=envelope.INVALID_REQUEST, code="bad_http")
        response = web.Response(status=status, body=body, content_type="application/json")
        response.force_close()
        return response
