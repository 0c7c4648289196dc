"""What is noted about a request while it is served, and becomes one event at its end."""

from dataclasses import dataclass
from functools import lru_cache

from aiohttp import web

from proxy.core.action import Tried
from proxy.telemetry.events import Endpoint, RequestEnded, Result
from proxy.wire import headers

CLIENT_GONE = 499
"""nginx's status for a client that left before it had its answer."""

_FIELD_CHARACTERS = 1024


@dataclass(slots=True, eq=False)
class Account:
    """Owner of one request's facts. The middleware opens and closes it; handlers fill it in."""

    request_id: str
    endpoint: Endpoint
    method: str
    started_at: float
    client: str = ""
    is_stream: bool = False
    is_committed: bool = False
    """The head of an answer is out: no other answer can be given."""
    result: Result = Result.ANSWERED
    upstream: str | None = None
    model: str | None = None
    attempts: int = 0
    tried: tuple[Tried, ...] = ()
    losses: tuple[str, ...] = ()
    first_content_at: float | None = None
    resumed_by: str | None = None
    """Who went on with a stream that broke, the last of them."""

    def lines(self) -> bytes:
        """Header lines that tell the client the truth about who answered, and why."""
        why = "; ".join(map(str, self.tried)) if self.tried else ""
        losses = ", ".join(self.losses) if self.losses else ""
        common = _lines(self.upstream, self.model, self.attempts, why, losses)
        return b"%bx-hotspare-request-id: %b\r\n" % (common, self.request_id.encode())

    def closed(self, status: int, now: float) -> RequestEnded:
        """The event."""
        return RequestEnded(
            request_id=self.request_id,
            client=self.client,
            endpoint=self.endpoint,
            method=self.method,
            is_stream=self.is_stream,
            result=self.result,
            status=status,
            upstream=self.upstream,
            attempts=self.attempts,
            tried=self.tried,
            losses=self.losses,
            seconds=now - self.started_at,
            first_content_seconds=self.first_content_at - self.started_at if self.first_content_at else None,
            resumed_by=self.resumed_by,
            model=self.model,
        )


@lru_cache(maxsize=1024)
def _lines(upstream: str | None, model: str | None, attempts: int, why: str, losses: str) -> bytes:
    """The same for nearly every request."""
    said = {
        "Via": headers.VIA,
        "x-hotspare-upstream": upstream or "none",
        "x-hotspare-attempts": str(attempts),
        "x-hotspare-model": model,
        "x-hotspare-reason": why,
        "x-hotspare-degraded": losses,
    }
    return "".join([f"{name}: {_header_safe(value)}\r\n" for name, value in said.items() if value]).encode()


def _header_safe(value: str) -> str:
    """Model names come from clients: only visible ASCII may stand in a field (RFC 9110, section 5.5). Many clients
    refuse a head of more than 8 KiB.
    """
    value = value[:_FIELD_CHARACTERS]
    if value.isascii() and value.isprintable():
        return value
    return "".join(character if " " <= character <= "~" else "?" for character in value)


ACCOUNT = web.RequestKey("account", Account)
