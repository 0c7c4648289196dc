"""What is noted about a request while it is served, and becomes one event at its end."""

from dataclasses import dataclass

from aiohttp import web

from proxy.core.failover import Tried
from proxy.telemetry.events import Endpoint, RequestEnded, Result

_FIELD_CHARACTERS = 1024


@dataclass(slots=True)
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

    def headers(self) -> dict[str, str]:
        """The headers that tell the client the truth about who answered, and why."""
        fields = {
            "x-hotspare-request-id": self.request_id,
            "x-hotspare-upstream": self.upstream or "none",
            "x-hotspare-attempts": str(self.attempts),
        }
        if self.model:
            fields["x-hotspare-model"] = self.model
        if self.tried:
            fields["x-hotspare-reason"] = "; ".join(map(str, self.tried))
        if self.losses:
            fields["x-hotspare-degraded"] = ", ".join(self.losses)
        return {name: _header_safe(value) for name, value in fields.items()}

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
        )


def _header_safe(value: str) -> str:
    """Model names come from clients: only visible ASCII may stand in a field (RFC 9110, section 5.5). Many clients
    refuse a head of more than 8 KiB.
    """
    value = value[:_FIELD_CHARACTERS]
    if value.isascii() and value.isprintable():
        return value
    return "".join(character if " " <= character <= "~" else "?" for character in value)


ACCOUNT = web.RequestKey("account", Account)
