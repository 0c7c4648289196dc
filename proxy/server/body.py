"""Reading a request's body: bounded in bytes while it comes, and in time."""

import asyncio

from aiohttp import web

from proxy.errors import RequestInvalid
from proxy.server.settings import ServerSettings


async def read_json_body(request: web.Request, settings: ServerSettings) -> bytes:
    """The whole body of a JSON request. Raises RequestInvalid: 408, 413, 415."""
    _check_type(request)
    _check_declared_size(request, settings.body_bytes)
    body = bytearray()
    try:
        async with asyncio.timeout(settings.body_timeout_seconds):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > settings.body_bytes:
                    raise _too_large(settings.body_bytes)
    except TimeoutError:
        raise too_slow(settings) from None
    return bytes(body)


def too_slow(settings: ServerSettings) -> RequestInvalid:
    """The body does not come."""
    message = f"The request body did not arrive within {settings.body_timeout_seconds:g} seconds."
    return RequestInvalid(message, status=408, code="request_timeout", closes=True)


async def expect_continue(request: web.Request, settings: ServerSettings) -> None:
    """Answer `Expect: 100-continue` (RFC 9110, 10.1.1). A body that will be refused is not invited; the handler says
    why.
    """
    if request.content_length is not None and request.content_length > settings.body_bytes:
        return
    if request.version >= (1, 1):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _check_declared_size(request: web.Request, limit_bytes: int) -> None:
    if request.content_length is not None and request.content_length > limit_bytes:
        raise _too_large(limit_bytes)


def _check_type(request: web.Request) -> None:
    """Aiohttp says application/octet-stream where the client says nothing; that is let through and judged as JSON."""
    declared = request.headers.get("Content-Type")
    if declared and request.content_type != "application/json" and not request.content_type.endswith("+json"):
        message = f"Content-Type is {request.content_type!r}; send the request as application/json."
        raise RequestInvalid(message, status=415, code="unsupported_media_type", closes=True)
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if encoding != "identity":
        message = f"Content-Encoding {encoding!r} is not supported; send the body uncompressed."
        raise RequestInvalid(message, status=415, code="unsupported_media_type", closes=True)


def _too_large(limit_bytes: int) -> RequestInvalid:
    message = f"The request body is larger than {limit_bytes} bytes, the limit of this proxy (limits.body)."
    return RequestInvalid(message, status=413, code="request_too_large", closes=True)
