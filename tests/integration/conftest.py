"""Real parts for integration tests: a scripted upstream, and the real model to fail over to."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.fakes.upstream import FaultUpstream
from tests.running import MODEL, running_model_server


@pytest.fixture
async def upstream() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream() as server:
        yield server


@pytest.fixture(scope="session")
def model_file() -> None:
    """The default model is on this machine."""
    subprocess.run([sys.executable, "-m", "models", "pull", MODEL], check=True)


@pytest.fixture(scope="session")
def local_url(model_file: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One real model server for all tests that only need somebody to fail over to."""
    with running_model_server(tmp_path_factory.mktemp("model") / "model.sock") as url:
        yield url
