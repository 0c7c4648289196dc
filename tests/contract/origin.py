"""An upstream that plays a script: bytes, and how each connection ends."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto

_AT_ONCE = struct.pack("ii", 1, 0)


class Step(Enum):
    """What an origin does beside sending bytes."""

    READ = auto()  # wait for a request, whole
    READ_HEAD = auto()  # wait for the head of a request
    TURN = auto()  # let the other side have its turn
    FIN = auto()  # close
    HALF = auto()  # close for writing only, and go on reading
    RESET = auto()  # close with RST
    LEAVE = auto()  # wait until the other side has closed
    DEAF = auto()  # read nothing until the test says that it is enough


Script = Sequence[bytes | Step]


@dataclass
class Origin:
    """Listens on `port`. The first connection plays the first script, and the last one is played by all that follow."""

    scripts: Sequence[Script]
    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    alpn: str | None = None
    playing: dict["asyncio.Task[None] | None", asyncio.StreamWriter] = field(default_factory=dict)

    async def play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self.scripts[min(self.connections, len(self.scripts) - 1)]
        self.connections += 1
        self.playing[asyncio.current_task()] = writer
        if tls := writer.get_extra_info("ssl_object"):
            self.alpn = tls.selected_alpn_protocol()
        try:
            for step in script:
                await self.perform(step, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the other side may leave at any time
        finally:
            self.left.set()
            writer.transport.abort()

    async def perform(self, step: bytes | Step, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match step:
            case bytes():
                writer.write(step)
                await writer.drain()
            case Step.READ:
                self.requests.append(await read_request(reader))
            case Step.READ_HEAD:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            case Step.TURN:
                for _ in range(3):
                    await asyncio.sleep(0)
            case Step.DEAF:
                writer.transport.pause_reading()
                await self.enough.wait()
            case Step.LEAVE:
                await until_eof(reader)
            case _:
                await hang_up(step, writer)


async def until_eof(reader: asyncio.StreamReader) -> None:
    while await reader.read(2**16):
        pass


async def hang_up(step: Step, writer: asyncio.StreamWriter) -> None:
    if step is Step.HALF:
        writer.write_eof()
    elif step is Step.FIN:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    else:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        writer.transport.abort()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Head and body as they came."""
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
    if fields.get(b"transfer-encoding") == b"chunked":
        return head + await reader.readuntil(b"0\r\n\r\n")
    return head + await reader.readexactly(int(fields.get(b"content-length", 0)))


@asynccontextmanager
async def origin(*scripts: Script, tls: ssl.SSLContext | None = None, path: str | None = None) -> AsyncIterator[Origin]:
    """An origin on the loopback interface, or on a unix socket at `path`."""
    playing = Origin(scripts)
    if path:
        server = await asyncio.start_unix_server(playing.play, path)
    else:
        server = await asyncio.start_server(playing.play, "127.0.0.1", 0, ssl=tls)
        playing.port = server.sockets[0].getsockname()[1]
    try:
        yield playing
    finally:
        server.close()
        for writer in playing.playing.values():
            writer.transport.abort()
        await asyncio.gather(*(task for task in playing.playing if task), return_exceptions=True)
