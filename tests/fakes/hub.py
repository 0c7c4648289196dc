"""A hub: what huggingface_hub asks for one file, over real HTTP, with the faults that a script names."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

COMMIT: Final = "0123456789abcdef0123456789abcdef01234567"

_BLOCK_BYTES: Final = 1 << 16


@dataclass
class Hub:
    """What it has, how it misbehaves, and what it was asked.

    Attributes:
        files: contents by path, ``owner/name/resolve/revision/file``.
        cuts: how many bytes of each answer to send before the connection is cut, in the order of the answers.
        refusal: status and error code of every answer.
        refuses_contents: likewise, of answers with contents only.
        promised_sha256: what is said in place of the right one; "" for none.
        promised_bytes: what is said in place of the right size.
        elsewhere: whether contents are at another address.
        has_begun: some contents are being sent.
        may_go_on: contents are sent while it is set.
        asked: the ranges that contents were asked for with.
        tokens: the authorization of each request, by path.

    """

    files: dict[str, bytes] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    refusal: tuple[int, str] | None = None
    refuses_contents: tuple[int, str] | None = None
    promised_sha256: str | None = None
    promised_bytes: int | None = None
    elsewhere: bool = False
    has_begun: threading.Event = field(default_factory=threading.Event)
    may_go_on: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)
    tokens: list[tuple[str, str | None]] = field(default_factory=list)
    port: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def running(hub: Hub) -> Iterator[Hub]:
    """Serve on a free port of this machine."""
    hub.may_go_on.set()
    server = _Server(hub)
    hub.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        hub.may_go_on.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: Hub) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def _hub(self) -> Hub:
        assert isinstance(self.server, _Server)
        return self.server.hub

    @property
    def _path(self) -> str:
        return self.path.lstrip("/")

    def do_HEAD(self) -> None:
        self._note()
        data = self._hub.files.get(self._path)
        if self._hub.refusal or data is None:
            self._refuse(*(self._hub.refusal or (404, "EntryNotFound")))
        else:
            self._describe(data)

    def do_GET(self) -> None:
        self._note()
        wanted = self.headers.get("Range", "")
        data = self._hub.files.get(self._path.removeprefix("cdn/"))
        self._hub.asked.append(wanted)
        if self._hub.refuses_contents or data is None:
            self._refuse(*(self._hub.refuses_contents or (404, "EntryNotFound")))
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self._send(data[start:])

    def _describe(self, data: bytes) -> None:
        hub = self._hub
        digest = hashlib.sha256(data).hexdigest() if hub.promised_sha256 is None else hub.promised_sha256
        self.send_response(302 if hub.elsewhere else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", '"0a1b2c"')
        if digest:
            self.send_header("X-Linked-ETag", f'"{digest}"')
        self.send_header("X-Linked-Size", str(hub.promised_bytes or len(data)))
        if hub.elsewhere:
            self.send_header("Location", f"http://localhost:{hub.port}/cdn/{self._path}")
        self.send_header("Content-Length", "0" if hub.elsewhere else str(len(data)))
        self.end_headers()

    def _send(self, data: bytes) -> None:
        limit = self._hub.cuts.pop(0) if self._hub.cuts else len(data)
        self.close_connection = limit < len(data)
        self._hub.has_begun.set()
        try:
            for at in range(0, min(limit, len(data)), _BLOCK_BYTES):
                self._hub.may_go_on.wait()
                self.wfile.write(data[at : min(at + _BLOCK_BYTES, limit)])
        except ConnectionError:
            self.close_connection = True

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _note(self) -> None:
        self._hub.tokens.append((self._path, self.headers.get("Authorization")))

    def log_message(self, *_: object) -> None:
        """The tests read what they need from the hub."""
