"""A model server as a child process, supervised as the proxy does it."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import aiohttp


class Child:
    """A running `python -m models serve --supervised`; its pipes are read line by line."""

    def __init__(self, *flags: str, environ: dict[str, str] | None = None, stderr: int = subprocess.DEVNULL) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.socket = str(Path(self.folder.name) / "s.sock")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "models", "serve", "--supervised", "--socket", self.socket, *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=os.environ | (environ or {}),
        )

    def line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        parsed: dict[str, Any] = json.loads(self.process.stdout.readline())
        return parsed

    def lines_until(self, event: str) -> list[dict[str, Any]]:
        lines = [self.line()]
        while lines[-1]["event"] != event:
            lines.append(self.line())
        return lines

    def tell(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def connect(self, limit: int = 100) -> aiohttp.ClientSession:
        return aiohttp.ClientSession("http://model", connector=aiohttp.UnixConnector(path=self.socket, limit=limit))

    def close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()  # the end of stdin is the order to go
        self.process.wait(timeout=10)
        self.folder.cleanup()
