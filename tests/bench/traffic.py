"""The requests that are sent: about 2 KB of chat completion, with a ticket for the mock (src/ticket.h)."""

import json
from dataclasses import dataclass

CHAT_PATH = "/v1/chat/completions"
MODEL = "gpt-4o-mini"
API_KEY = "sk-loopback-0123456789abcdef"
DEFAULT_BODY_BYTES = 2_000

_INSTRUCTIONS = "You are a helpful assistant. Answer briefly and say so when you do not know. "
_QUESTION = "Summarise the following text in three sentences. "


@dataclass(frozen=True, slots=True)
class Pace:
    """How many events a stream has, and the gap between them."""

    events: int
    gap_microseconds: int

    @property
    def seconds(self) -> float:
        """How long a stream takes from its first event to its last."""
        return (self.events - 1) * self.gap_microseconds / 1e6


def request(headers: tuple[str, ...] = (), pace: Pace | None = None, body_bytes: int = DEFAULT_BODY_BYTES) -> bytes:
    """The whole HTTP request, streamed if a pace is given; extra headers as `Name: value`."""
    content = body(pace, body_bytes)
    lines = [
        f"POST {CHAT_PATH} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {API_KEY}",
        "Content-Type: application/json",
        "Accept: application/json",
        f"Content-Length: {len(content)}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + content


def body(pace: Pace | None = None, size: int = DEFAULT_BODY_BYTES) -> bytes:
    """A chat completion request of about that many bytes, at least 400."""
    events, gap = (pace.events, pace.gap_microseconds) if pace else (0, 0)
    fields: dict[str, object] = {"model": MODEL, "user": f"bench-{0:010d}-{events:06d}x{gap:09d}", "temperature": 0}
    if pace:
        fields["stream"] = True
    messages = [{"role": "system", "content": _INSTRUCTIONS}, {"role": "user", "content": ""}]
    missing = size - len(json.dumps(fields | {"messages": messages}))
    messages[1]["content"] = (_QUESTION * (missing // len(_QUESTION) + 1))[: max(0, missing)]
    return json.dumps(fields | {"messages": messages}).encode()
