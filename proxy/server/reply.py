"""The client's end of one answer: bytes on its connection, whole or block by block."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus

from proxy.wire.http1 import LAST_CHUNK, encode_chunk

_STATUS_LINES = {status.value: b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode()) for status in HTTPStatus}
_LARGE_BYTES = 2**16
_CLOSE = b"Connection: close\r\n"


@dataclass(slots=True, eq=False)
class Reply:
    """Writes one answer. After a connection is gone every call does nothing; its protocol has said so by then.

    A client of HTTP/1.0 does not know chunks (RFC 9112, section 7.1): for it the end of a stream is the connection's.
    """

    _transport: asyncio.Transport
    is_chunked: bool = True
    closes: bool = False
    """The connection carries no other answer after this one."""

    def whole(self, status: int, lines: bytes, body: bytes) -> None:
        """An answer of known length. `lines` are header lines, each with its CR LF."""
        close = _CLOSE if self.closes else b""
        head = b"%b%bContent-Length: %d\r\n%b\r\n" % (_status_line(status), lines, len(body), close)
        if len(body) < _LARGE_BYTES:
            self._write(head + body)
        else:
            self._write(head)
            self._write(body)

    def begin(self, status: int, lines: bytes, first: bytes) -> None:
        """The head of a stream and its first block."""
        framing = b"Transfer-Encoding: chunked\r\n" if self.is_chunked else b""
        head = b"%b%b%b%b\r\n" % (_status_line(status), lines, framing, _CLOSE if self.closes else b"")
        self._write(head + (encode_chunk(first) if self.is_chunked else first))

    def block(self, data: bytes) -> None:
        """One more block of a stream; not empty."""
        self._write(encode_chunk(data) if self.is_chunked else data)

    def end(self) -> None:
        """The end of a stream."""
        if self.is_chunked:
            self._write(LAST_CHUNK)

    def cut(self) -> None:
        """Break off in a way that nobody can take for an end."""
        self._transport.abort()

    def hang_up(self) -> None:
        """Close the connection behind what was written."""
        self._transport.close()

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():  # uvloop raises otherwise
            self._transport.write(data)


def _status_line(status: int) -> bytes:
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d Unknown\r\n" % status
