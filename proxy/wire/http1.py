"""HTTP/1.1 as an upstream speaks it (RFC 9112): the head of an answer, where its body ends, the head of a request.

Strict where two readers could disagree about the end of an answer, for what follows would be taken for the next one.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import msgspec

from proxy.errors import HotspareError
from proxy.wire.headers import STAY_HERE, TOKEN, Fields, as_bytes, as_text

MAX_HEAD_BYTES = 64 * 1024
"""Clouds send 1-3 KiB, most of it cookies and policies of the edge. curl takes 300 KiB, h11 16 KiB, nginx 4-8 KiB."""
MAX_TRAILER_BYTES = 16 * 1024
_MAX_CHUNK_LINE_BYTES = 4 * 1024

_HEAD = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n\0]*+)?((?:\r\n" + TOKEN + rb":[^\r\n\0]*+)*+)")
_PLAIN = rb"((?:\r\n(?!(?:" + STAY_HERE.encode() + rb"):)" + TOKEN + rb":[^\r\n\0]*+)*+)"
_SIZED_HEAD = re.compile(
    rb"HTTP/1\.1 ([1-9][0-9]{2})(?: [^\r\n\0]*+)?" + _PLAIN + rb"\r\ncontent-length: ?([0-9]{1,18})" + _PLAIN,
    re.IGNORECASE,
)
"""What nearly every unstreamed answer has: one length, and nothing else that concerns its framing or its connection."""
_FIELD = re.compile(rb"\r\n([^:]++):[ \t]*+([^\r]*+)")
_TRAILERS = re.compile(rb"(?:" + TOKEN + rb":[^\r\n\0]*+\r\n)*+")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*+([0-9]{1,18})[ \t]*+(?=\r\n|\Z)")
_CHUNK_LINE = re.compile(rb"\r\n([0-9A-Fa-f]{1,15})[ \t]*+(?:;[^\r\n\0]*+)?\r\n")
_ONE_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")
_CHUNK_LINE_BEGUN = re.compile(rb"\r\n(?:[0-9A-Fa-f]{1,15}[ \t]*+(?:;[^\r\n\0]*+)?\r?)?")
_BEGINNING = b"HTTP/1."
BODILESS = frozenset({204, 304})


class Malformed(HotspareError):
    """The bytes are not what HTTP/1.1 allows. The text says which part of them, in a word or two."""


class ResponseHead(msgspec.Struct, eq=False, gc=False):
    """The status line and header fields of an answer.

    `block` are the lines of the fields as received, each with the CR LF before it; `lower` is the same in lower case.
    Fields are looked for in it: an answer of a cloud has some 25, and few of them are ever asked for.
    """

    status: int
    block: bytes
    lower: bytes
    is_http_10: bool = False
    size: int = -1
    """The Content-Length, where it is known that nothing else in the head concerns the connection or its framing."""
    passed: bytes | None = None
    """The block without it, in that case."""

    @property
    def pairs(self) -> list[tuple[bytes, bytes]]:
        """Name and value of each field, in order; whitespace around a value is no part of it."""
        return [(name, value.rstrip(b" \t")) for name, value in _FIELD.findall(self.block)]

    @property
    def fields(self) -> Fields:
        """The pairs as text."""
        return [(as_text(name), as_text(value)) for name, value in self.pairs]

    def has(self, name: bytes) -> bool:
        """Whether there is such a field; `name` in lower case."""
        return b"\r\n%b:" % name in self.lower

    def get(self, name: bytes) -> bytes | None:
        """The first value of a field, or None; `name` in lower case."""
        start = self.lower.find(b"\r\n%b:" % name)
        if start < 0:
            return None
        start += len(name) + 3
        end = self.lower.find(b"\r\n", start)
        return (self.block[start:end] if end >= 0 else self.block[start:]).strip(b" \t")

    def tokens(self, name: bytes) -> list[bytes]:
        """All elements of a field that is a comma-separated list, in lower case; `name` likewise."""
        values = [value.lower() for field, value in self.pairs if field.lower() == name]
        return [token.strip(b" \t") for value in values for token in value.split(b",")]

    @property
    def content_type(self) -> str:
        """The media type without parameters, in lower case; empty if there is none."""
        return (self.get(b"content-type") or b"").partition(b";")[0].strip().lower().decode("latin-1")

    @property
    def keeps_alive(self) -> bool:
        """Whether the connection may carry another exchange. HTTP/1.0 could, but those who still speak it seldom do."""
        if self.is_http_10:
            return False
        return self.size >= 0 or b"\r\nconnection:" not in self.lower or b"close" not in self.tokens(b"connection")


def parse_response_head(data: bytes, end: int) -> ResponseHead:
    """The head that begins `data`; `end` is where its first CRLF CRLF stands. Raises Malformed."""
    if end > MAX_HEAD_BYTES:
        raise Malformed("head too large")
    sized = _SIZED_HEAD.fullmatch(data, 0, end)
    if sized is not None:
        status, before, length, behind = sized.groups()
        block = data[sized.start(2) : end]
        return ResponseHead(int(status), block, block.lower(), False, int(length), before + behind)
    head = _HEAD.fullmatch(data, 0, end)
    if head is None:
        raise Malformed("header field" if _HEAD.fullmatch(data, 0, data.index(b"\r\n")) else "status line")
    minor, status, block = head.groups()
    return ResponseHead(int(status), block, block.lower(), minor == b"0")


def head_of(status: int, fields: Iterable[tuple[bytes, bytes]]) -> ResponseHead:
    """A head with these fields."""
    block = b"".join([b"\r\n%b: %b" % field for field in fields])
    return ResponseHead(status, block, block.lower())


def check_partial_head(data: bytes) -> None:
    """Raises Malformed if `data`, in which no head ends, is too long for one or cannot be the beginning of one."""
    if len(data) > MAX_HEAD_BYTES:
        raise Malformed("head too large")
    if data[: len(_BEGINNING)] != _BEGINNING[: len(data)]:
        raise Malformed("status line")


# ---- where a body ends


class Body(Protocol):
    """Follows the framing of one body."""

    is_done: bool
    """Whether all of it has come."""
    excess: int
    """How many bytes of the last feed came after its end."""

    @property
    def ends_with_connection(self) -> bool:
        """Whether the end of the connection is its end."""
        ...

    def feed(self, data: bytes) -> bytes:
        """The payload in the next bytes, maybe none. Not to be called after the end. Raises Malformed."""
        ...


@dataclass(slots=True, eq=False)
class SizedBody:
    """A body of known length; none at all is one of length 0."""

    _left: int
    is_done: bool
    excess: int = 0
    ends_with_connection: ClassVar[bool] = False

    def feed(self, data: bytes) -> bytes:
        """The payload in the next bytes."""
        left = self._left - len(data)
        self._left = left
        if left > 0:
            return data
        self.is_done = True
        if not left:
            return data
        self.excess = -left
        return data[:left]


class OpenBody:
    """A body that ends when the connection does."""

    __slots__ = ("excess", "is_done")
    ends_with_connection = True

    def __init__(self) -> None:
        self.is_done = False
        self.excess = 0

    def feed(self, data: bytes) -> bytes:
        """The payload in the next bytes: all of them."""
        return data


class ChunkedBody:
    """A chunked body (RFC 9112, section 7.1). Extensions and trailers are checked and dropped.

    The CRLF that ends a chunk's data is read as the beginning of the next chunk's line, and one is imagined before the
    first: so there are two states, within data or at such a line, and the line is one match.
    """

    __slots__ = ("_held", "_is_ending", "_left", "excess", "is_done")
    ends_with_connection = False

    def __init__(self) -> None:
        self._left = 0
        self._held = b"\r\n"
        self._is_ending = False
        self.is_done = False
        self.excess = 0

    def feed(self, data: bytes) -> bytes:
        """The payload in the next bytes. Raises Malformed."""
        position = self._left
        if not position and self._held == b"\r\n" and (line := _ONE_CHUNK.match(data)):
            start = line.end()
            end = start + int(line[1], 16)
            if start < end == len(data) - 2 and data.endswith(b"\r\n"):  # one whole chunk, as an event mostly comes
                return data[start:end]
        if len(data) <= position:
            self._left = position - len(data)
            return data
        if self._held:
            data = self._held + data
        if self._is_ending:
            self._end(data)
            return b""
        return self._read_chunks(data, position)

    def _read_chunks(self, data: bytes, position: int) -> bytes:
        """The payload before `position`, where a chunk's line stands, and that of every chunk from there on."""
        parts = [data[:position]] if position else []
        while line := _CHUNK_LINE.match(data, position):
            start = line.end()
            size = int(line[1], 16)
            if not size:
                self._left = 0
                self._end(data[start - 2 :])
                break
            position = start + size
            parts.append(data[start:position])
        else:
            self._hold(data, position)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _hold(self, data: bytes, position: int) -> None:
        """Keep what stands at `position`: nothing within a chunk's data, else the beginning of a chunk's line."""
        self._left = position - len(data) if position > len(data) else 0
        self._held = held = data[position:]
        if len(held) > 2 and (len(held) > _MAX_CHUNK_LINE_BYTES or not _CHUNK_LINE_BEGUN.fullmatch(held)):
            raise Malformed("chunk size")

    def _end(self, data: bytes) -> None:
        """Read the trailers. `data` begins with the CRLF of the last chunk's line."""
        end = data.find(b"\r\n\r\n")
        if end < 0:
            if len(data) > MAX_TRAILER_BYTES:
                raise Malformed("trailers too large")
            self._held = data
            self._is_ending = True
            return
        if not _TRAILERS.fullmatch(data, 2, end + 2):
            raise Malformed("trailer")
        self.is_done = True
        self.excess = len(data) - end - 4


def body_of(head: ResponseHead, *, is_head_request: bool) -> Body:
    """How the body after `head` ends (RFC 9112, section 6.3). Raises Malformed where that is not beyond doubt."""
    if head.size > 0 and not is_head_request and head.status not in BODILESS:
        return SizedBody(head.size, is_done=False)
    lower = head.lower
    at = lower.find(b"\r\ncontent-length:")
    is_chunked = b"\r\ntransfer-encoding:" in lower
    size = _size(lower, at) if at >= 0 else None
    if is_chunked and (size is not None or head.tokens(b"transfer-encoding") != [b"chunked"]):
        raise Malformed("Transfer-Encoding")
    if is_head_request or head.status in BODILESS:
        return SizedBody(0, is_done=True)
    if size is not None:
        return SizedBody(size, is_done=not size)
    return ChunkedBody() if is_chunked else OpenBody()


def _size(lower: bytes, at: int) -> int:
    """The Content-Length in the line at `at`, which has to be the only one."""
    line = _LENGTH.match(lower, at)
    if line is None or lower.find(b"\r\ncontent-length:", line.end()) >= 0:
        raise Malformed("Content-Length")
    return int(line[1])


# ---- a request

_TOKEN = re.compile(TOKEN)
_TARGET = re.compile(rb"[^\x00-\x20\x7f]+")
_VALUE = re.compile(rb"[^\r\n\0]*")
LAST_CHUNK = b"0\r\n\r\n"


def render_request_head(method: str, target: bytes, host: bytes, fields: Iterable[tuple[str, str]]) -> bytes:
    """A request line, Host, and the fields. Raises Malformed rather than let one field become two."""
    verb = method.encode("ascii", "replace")
    if not _TOKEN.fullmatch(verb) or not _TARGET.fullmatch(target):
        raise Malformed("request line")
    lines = [b"%b %b HTTP/1.1" % (verb, target), b"Host: " + host]
    for name, value in fields:
        raw_name, raw_value = as_bytes(name), as_bytes(value)
        if not _TOKEN.fullmatch(raw_name) or not _VALUE.fullmatch(raw_value):
            raise Malformed("request field")
        lines.append(raw_name + b": " + raw_value)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def encode_chunk(data: bytes) -> bytes:
    """One chunk; `data` is not empty, for an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)
