"""One connection of the fake: performing a play on it, and knowing when the client has gone."""

import asyncio
import socket
import struct
from dataclasses import dataclass
from typing import Any

from tests.fakes.http import LAST_CHUNK, Headers, Request, encode_chunk, encode_head
from tests.fakes.steps import Body, Ending, Head, Pause, Play, Raw, Step

_READ_LIMIT_BYTES = 1 << 20
_LINGER_NOT_AT_ALL = struct.pack("ii", 1, 0)


@dataclass(slots=True, eq=False)
class Sent:
    """What was answered to a request so far: the body without its transfer coding, byte for byte."""

    request: Request
    status: int = 0
    headers: Headers = ()
    body: bytes = b""
    is_complete: bool = False


class Wire(asyncio.StreamReaderProtocol):
    """A stream protocol that also says when the client has gone: closed, half-closed or reset."""

    def __init__(self, connected: Any) -> None:
        super().__init__(asyncio.StreamReader(limit=_READ_LIMIT_BYTES), connected)
        self.gone = asyncio.Event()

    def eof_received(self) -> bool | None:
        self.gone.set()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
        super().connection_lost(exc)


def reset(writer: asyncio.StreamWriter) -> None:
    """Ends the connection with RST instead of FIN, like a process that was killed."""
    if writer.transport.is_closing():
        return
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT_AT_ALL)
    writer.transport.abort()


async def perform(play: Play, writer: asyncio.StreamWriter, sent: Sent) -> bool:
    """Answers one request; whether the connection may be used again. Never returns from a HANG.

    Raises ConnectionError if the client leaves while it is written to.
    """
    # Everything is with the kernel when a step ends: a reset would throw away what still waits here.
    writer.transport.set_write_buffer_limits(high=0)
    for step in play:
        if isinstance(step, Ending):
            return await _end(step, writer)
        await _perform_step(step, writer, sent)
    if _is_chunked(sent):
        writer.write(LAST_CHUNK)
    sent.is_complete = True
    return sent.request.is_kept_alive


async def _perform_step(step: Step, writer: asyncio.StreamWriter, sent: Sent) -> None:
    match step:
        case Head(status, headers):
            sent.status, sent.headers = status, headers
            writer.write(encode_head(status, headers))
        case Body(data):
            _write_body(data, writer, sent)
        case Raw(data):
            writer.write(data)
        case Pause(seconds) if seconds > 0:
            await asyncio.sleep(seconds)
    await writer.drain()


def _write_body(data: bytes, writer: asyncio.StreamWriter, sent: Sent) -> None:
    if not data or sent.request.method == "HEAD":
        return
    sent.body += data
    writer.write(encode_chunk(data) if _is_chunked(sent) else data)


async def _end(ending: Ending, writer: asyncio.StreamWriter) -> bool:
    if ending is Ending.HANG:
        await asyncio.Event().wait()
    elif ending is Ending.RESET:
        reset(writer)
    return False


def _is_chunked(sent: Sent) -> bool:
    return ("transfer-encoding", "chunked") in sent.headers
