"""The real model server as a child process, supervised as the proxy does it."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from models.catalog.catalog import DEFAULT_MODEL
from models.catalog.locate import models_folder, resolve


class Child:
    """A running `python -m models serve --supervised`; its pipes are read line by line."""

    def __init__(self, *flags: str, environ: dict[str, str] | None = None) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.socket = str(Path(self.folder.name) / "s.sock")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "models", "serve", "--supervised", "--socket", self.socket, *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
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

    def close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()  # the end of stdin is the order to go
        self.process.wait(timeout=10)
        self.folder.cleanup()


@pytest.fixture(scope="session")
def model_file() -> Path:
    """The default model's file, pulled if it is not here."""
    subprocess.run([sys.executable, "-m", "models", "pull", DEFAULT_MODEL], check=True, timeout=600)
    return resolve(DEFAULT_MODEL, models_folder(os.environ)).path


@pytest.fixture(scope="session")
def server(model_file: Path) -> Iterator[Child]:
    child = Child("--queue", "4")
    child.lines_until("ready")
    yield child
    child.close()


@pytest.fixture
async def client(server: Child) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.UnixConnector(path=server.socket)
    async with aiohttp.ClientSession("http://model", connector=connector) as session:
        yield session
        await until_idle(session)


async def until_idle(session: aiohttp.ClientSession) -> None:
    """Wait until nothing runs or waits; pytest's timeout ends a wait in vain."""
    while True:
        async with session.get("/health") as answer:
            body = await answer.json()
        if not body["running"] and not body["queued"]:
            return
        await asyncio.sleep(0.02)
