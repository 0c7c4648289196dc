"""Server-sent events as bytes (WHATWG HTML, section 9.2): where an event ends, and what its data is.

Events are passed on as the bytes they came in. They are only cut apart where somebody has to look inside.
"""

import re
from collections.abc import Iterator

MAX_EVENT_BYTES = 16 * 1024 * 1024
"""An event that goes on for longer is not one. The largest on record carry a base64 image of a few MB."""


_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)")


def end_of_last_event(data: bytes) -> int:
    """The index behind the last blank line, 0 if there is none. Lines end with LF, CR LF or CR."""
    return max(_behind(data, b"\n\n"), _behind(data, b"\n\r\n"), _behind(data, b"\r\r"))


def _behind(data: bytes, blank: bytes) -> int:
    index = data.rfind(blank)
    return index + len(blank) if index >= 0 else 0


class EventReader:
    """Cuts a byte stream at event boundaries, however the bytes come.

    A stream that dies in the middle of an event leaves that half in `rest`, where the client never sees it.
    """

    __slots__ = ("rest",)

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """All whole events that are complete now, as one block; empty if there is none."""
        if self.rest:
            data = self.rest + data
        elif data.endswith(b"\n\n"):  # as events mostly come
            return data
        end = end_of_last_event(data)
        self.rest = data[end:]
        return data if end == len(data) else data[:end]

    @property
    def is_overfull(self) -> bool:
        """Whether the event that is still to end has become too long for one."""
        return len(self.rest) > MAX_EVENT_BYTES


def events(block: bytes) -> Iterator[bytes]:
    """The whole events in `block`, one by one, each with the blank line that ends it."""
    start = 0
    for match in _BLANK_LINE.finditer(block):
        yield block[start : match.end()]
        start = match.end()


def payloads(block: bytes) -> Iterator[bytes]:
    """The data of each whole event in `block`; events without data (comments, pings) yield nothing."""
    lines: list[bytes] = []
    for line in block.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"):
        if line.startswith(b"data:"):
            lines.append(line[5:].removeprefix(b" "))
        elif not line and lines:
            yield b"\n".join(lines)
            lines = []


def is_only_comments(block: bytes) -> bool:
    """Whether a block of whole events is a keep-alive, which proves a live socket and no more."""
    return block.startswith(b":") and b"\ndata:" not in block and b"\rdata:" not in block


def event(data: bytes) -> bytes:
    """One event that carries `data`, which has to be a single line."""
    return b"data: " + data + b"\n\n"
