"""Real parts for integration tests: a scripted upstream, and the real model to fail over to."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.fakes.upstream import FaultUpstream
from tests.running import running_model_server


@pytest.fixture
async def upstream() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream() as server:
        yield server


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that shows bodies and headers as they came."""
    untouched = ("Accept", "Accept-Encoding", "User-Agent")
    async with aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=untouched) as session:
        yield session


@pytest.fixture(scope="session")
def local_url(model_file: Path) -> Iterator[str]:
    """One real model server for all tests that only need somebody to fail over to."""
    with running_model_server() as url:
        yield url
