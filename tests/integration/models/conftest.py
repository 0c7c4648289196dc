"""The real model and a server that runs it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.model_child import Child


@pytest.fixture(scope="session")
def server(model_file: Path) -> Iterator[Child]:
    child = Child("--queue", "4", "--deterministic")  # the same seed gives the same text, whatever was kept
    child.lines_until("ready")
    yield child
    child.close()


@pytest.fixture
async def client(server: Child) -> AsyncIterator[aiohttp.ClientSession]:
    async with server.connect() as session:
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
