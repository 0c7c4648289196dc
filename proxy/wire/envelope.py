"""OpenAI's error objects: {"error": {"message", "type", "param", "code"}}."""

import msgspec

from proxy.wire import sse

INVALID_REQUEST = "invalid_request_error"
SERVER_ERROR = "server_error"


def error(message: str, *, kind: str, param: str | None = None, code: str | None = None) -> bytes:
    """An error body. `kind` is the object's `type`."""
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": param, "code": code}})


def error_event(message: str, *, code: str) -> bytes:
    """The same inside a stream; the SDKs raise APIError on it."""
    return sse.event(error(message, kind=SERVER_ERROR, code=code))
