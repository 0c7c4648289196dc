"""The bytes that driver and mock agree on: requests of about 2 KB, answers of 1 KB, events that carry a time.

How a stream is paced is told in the request's `user` field, "100x20ms": it passes any proxy unchanged.
"""

import json
import re
from dataclasses import dataclass

CHAT_PATH = "/v1/chat/completions"
API_KEY = "sk-bench"
TIME_DIGITS = 19
LAST_CHUNK = b"0\r\n\r\n"

_INSTRUCTIONS = "You are a helpful assistant. Answer briefly and say so when you do not know. " * 12
_QUESTION = "Summarise the following text in three sentences. " * 18
_ANSWER = "The quick brown fox jumps over the lazy dog. " * 15

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PACE = re.compile(rb'"user": ?"(\d+)x(\d+)ms"')
_SENT_AT = re.compile(rb'"content": ?"(\d{6,})"')


@dataclass(frozen=True, slots=True)
class Pace:
    """How many events a stream has, and the gap before each but the first."""

    events: int
    gap_milliseconds: int

    @property
    def seconds(self) -> float:
        """How long the stream takes at least."""
        return (self.events - 1) * self.gap_milliseconds / 1000


def body(pace: Pace | None = None) -> bytes:
    """A chat completion request; streamed if a pace is given."""
    messages = [{"role": "system", "content": _INSTRUCTIONS}, {"role": "user", "content": _QUESTION}]
    fields: dict[str, object] = {"model": "gpt-4o-mini", "messages": messages, "temperature": 0}
    if pace:
        fields |= {"stream": True, "user": f"{pace.events}x{pace.gap_milliseconds}ms"}
    return json.dumps(fields).encode()


def request(authority: str, content: bytes) -> bytes:
    """The whole HTTP request with that body."""
    head = (
        f"POST {CHAT_PATH} HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Bearer {API_KEY}\r\n"
        f"Content-Type: application/json\r\nAccept: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def pace_of(content: bytes) -> Pace | None:
    """The pace that a request asks for, or None for an answer in one piece."""
    found = _PACE.search(content)
    return Pace(int(found[1]), int(found[2])) if found else None


def message_end(data: bytes) -> int:
    """Where the message at the start of `data` ends by its Content-Length; 0 if it is not all there."""
    head_end = data.find(b"\r\n\r\n")
    if head_end < 0:
        return 0
    found = _LENGTH.search(data, 0, head_end)
    end = head_end + 4 + (int(found[1]) if found else 0)
    return end if end <= len(data) else 0


def is_whole_answer(data: bytes) -> bool:
    """Whether `data` is all of an answer, by Content-Length or last chunk."""
    if data.endswith(b"\r\n" + LAST_CHUNK):
        return True
    head_end = data.find(b"\r\n\r\n")
    found = _LENGTH.search(data, 0, head_end) if head_end > 0 else None
    return found is not None and len(data) >= head_end + 4 + int(found[1])


def answer() -> bytes:
    """The whole unstreamed HTTP answer."""
    message = {"role": "assistant", "content": _ANSWER, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    usage = {"prompt_tokens": 400, "completion_tokens": 150, "total_tokens": 550}
    fields = {**_envelope("chat.completion"), "choices": [choice], "usage": usage}
    content = json.dumps(fields, separators=(",", ":")).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


def stream_head() -> bytes:
    """The head of a streamed answer and its role chunk."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + _event({"role": "assistant", "content": ""}, None)


def stream_tail() -> bytes:
    """The finish chunk, `[DONE]` and the last chunk."""
    return _event({}, "stop") + b"e\r\ndata: [DONE]\n\n\r\n" + LAST_CHUNK


def event_parts() -> tuple[bytes, bytes]:
    """A content event in two parts, between which a time in nanoseconds of `TIME_DIGITS` digits goes."""
    before, after = _event({"content": "0" * TIME_DIGITS}, None).split(b"0" * TIME_DIGITS)
    return before, after


def times_sent(data: bytes) -> tuple[list[int], bytes]:
    """When the events in `data` were sent, in nanoseconds, and what follows the last of them."""
    end = 0
    times = []
    for found in _SENT_AT.finditer(data):
        times.append(int(found[1]))
        end = found.end()
    return times, data[end:]


def _envelope(kind: str) -> dict[str, object]:
    return {"id": "chatcmpl-bench", "object": kind, "created": 1_700_000_000, "model": "gpt-4o-mini-2024-07-18"}


def _event(delta: dict[str, str], finish_reason: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    fields = {**_envelope("chat.completion.chunk"), "choices": [choice]}
    event = b"data: %b\n\n" % json.dumps(fields, separators=(",", ":")).encode()
    return b"%x\r\n%b\r\n" % (len(event), event)
