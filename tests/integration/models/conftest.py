"""The real model and a server that runs it."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from model_child import Child

from models.catalog.catalog import DEFAULT_MODEL
from models.catalog.locate import models_folder, resolve


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
