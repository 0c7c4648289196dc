"""The head of a plain completion request, read in one go (RFC 9112, sections 2 to 6).

Plain is what nearly every SDK sends: POST to one of three paths over HTTP/1.1, a JSON body of known length, nothing to
negotiate, the connection kept. The reading is strict on purpose: what does not match is not refused but left to a
complete HTTP parser.
"""

import re
from typing import NamedTuple

import msgspec

from proxy.wire.headers import TOKEN, Fields, as_text

MAX_HEAD_BYTES = 16 * 1024

_HEAD = re.compile(
    rb"POST (/v1/(?:chat/completions|completions|embeddings)) HTTP/1\.1((?:\r\n"
    + TOKEN
    + rb":[\t\x20-\x7e\x80-\xff]*)+)"
)
_FIELD = re.compile(rb"\r\n([^:]+):[\t ]*([^\r]*)")
_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: ?(\d{1,10})(?=\r\n)")
_ANY_HEAD = re.compile(
    rb"(?!CONNECT )" + TOKEN + rb" [\x21-\x7e]+ HTTP/1\.1((?:\r\n" + TOKEN + rb":[\t\x20-\x7e\x80-\xff]*)+)\r\n\r\n"
)
_ODD_FRAMING = re.compile(rb"\r\n(?:transfer-encoding|upgrade|expect|connection)[\t ]*:", re.IGNORECASE)
_ANY_LENGTH = re.compile(rb"\r\ncontent-length[\t ]*:[\t ]*(\d{1,10})[\t ]*(?=\r\n)", re.IGNORECASE)

_MOST_FIELDS = 127
_SINGLE = (
    "connection",
    "content-encoding",
    "content-location",
    "content-range",
    "content-type",
    "etag",
    "max-forwards",
    "server",
    "user-agent",
)
"""What aiohttp refuses to see twice, and what it would read the first of."""

_NEGOTIATED = frozenset(
    {"sec-websocket-key1", "transfer-encoding", "expect", "upgrade", "content-length", "te", "trailer"}
)


class Frame(msgspec.Struct, frozen=True, gc=False):
    """Where a request with a body of known length lies in the bytes received, and what its head is.

    `before` and `behind` are the head on either side of the digits of its Content-Length: the same bytes for request
    after request of one client.
    """

    before: bytes
    behind: bytes
    body_at: int
    end: int

    @property
    def head(self) -> bytes:
        """The head without its Content-Length and without the blank line."""
        return self.before[: self.before.rindex(b"\r\n")] + self.behind[:-4]


class PlainHead(NamedTuple):
    """What a plain head says. `path` with its /v1; `fields` without Content-Length."""

    path: str
    fields: Fields


def frame(data: bytes) -> Frame | None:
    """Find head and body; None where the head is incomplete or has no Content-Length."""
    head_end = data.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES)
    if head_end < 0:
        return None
    length = _LENGTH.search(data, 0, head_end + 2)
    if length is None:
        return None
    start, end = length.span(1)
    body_at = head_end + 4
    return Frame(data[:start], data[end:body_at], body_at, body_at + int(length[1]))


def frame_like(last: Frame, data: bytes) -> Frame | None:
    """The same for a request whose head is that of `last` but for its length; None if it is another one."""
    if not data.startswith(last.before):
        return None
    start = len(last.before)
    end = data.find(b"\r", start, start + 11)
    digits = data[start:end]
    if end < 0 or not digits.isdigit() or not data.startswith(last.behind, end):
        return None
    body_at = end + len(last.behind)
    return Frame(last.before, last.behind, body_at, body_at + int(digits))


def read(head: bytes) -> PlainHead | None:
    """Read a head as `frame` gives it; None if it is not plain."""
    match = _HEAD.fullmatch(head)
    if match is None:
        return None
    fields = [(as_text(name), as_text(value.rstrip(b" \t"))) for name, value in _FIELD.findall(match[2])]
    return PlainHead(as_text(match[1]), fields) if _is_plain(fields) else None


def is_whole(data: bytes) -> bool:
    """Whether the bytes are for certain one request, all of it and nothing else, that leaves its connection open."""
    match = _ANY_HEAD.match(data)
    if match is None or _ODD_FRAMING.search(match[1]):
        return False
    lengths = _ANY_LENGTH.findall(match[0])
    return len(lengths) <= 1 and match.end() + (int(lengths[0]) if lengths else 0) == len(data)


def _is_plain(fields: Fields) -> bool:
    seen = [name.lower() for name, _ in fields]
    said = {name.lower(): value.lower() for name, value in fields}
    return (
        seen.count("host") == 1
        and len(seen) <= _MOST_FIELDS
        and all(seen.count(name) < 2 for name in _SINGLE)
        and _NEGOTIATED.isdisjoint(seen)
        and said.get("connection", "keep-alive") == "keep-alive"
        and said.get("content-encoding", "identity") == "identity"
        and _is_json(said.get("content-type", "application/json"))
    )


def _is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip() == "application/json"
