"""The real SDK, the real proxy as a process of its own, and the real model behind it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from openai import AsyncOpenAI, OpenAI

from tests.running import MODEL, running_hotspare

OFFLINE = f"""
listen: 127.0.0.1:0
upstreams: []
local: {{model: {MODEL}, pull: false}}
limits: {{deadline: 30s, drain: 1s}}
"""

PATIENCE_SECONDS = 60.0
"""The first request waits until the model is loaded."""


@pytest.fixture(scope="session")
def offline_url(model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`hotspare serve` without a cloud, once its model answers."""
    config = tmp_path_factory.mktemp("offline") / "hotspare.yaml"
    config.write_text(OFFLINE)
    with running_hotspare(config) as base_url:
        with OpenAI(base_url=base_url, api_key="not-needed", max_retries=0, timeout=PATIENCE_SECONDS) as client:
            client.completions.create(model=MODEL, prompt="Hi", max_tokens=1)
        yield base_url


@pytest.fixture
def client(offline_url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=offline_url, api_key="not-needed", max_retries=0, timeout=PATIENCE_SECONDS) as client:
        yield client


@pytest.fixture
async def async_client(offline_url: str) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(
        base_url=offline_url, api_key="not-needed", max_retries=0, timeout=PATIENCE_SECONDS
    ) as client:
        yield client
