"""An upstream that is silent, and the local model that starts beside it."""

import aiohttp
import pytest
from openai import AsyncOpenAI

from tests.fakes.behaviour import Behaviour
from tests.fakes.upstream import FaultUpstream
from tests.integration.scrape import is_idle, scrape_until
from tests.running import MODEL, QUESTION, running_proxy

pytestmark = [pytest.mark.model, pytest.mark.slow]


def hedging(upstream: FaultUpstream, local_url: str, *, first_content: str = "2s", answer: str = "2s") -> str:
    return f"""
upstreams:
  - name: cloud
    base_url: "{upstream.base_url}"
    api_key: k
    timeouts: {{connect: 1s, first_content: {first_content}, answer: {answer}}}
local: {{url: "{local_url}", served_model: {MODEL}, prefill: hotspare}}
limits: {{deadline: 60s, drain: 1s}}
"""


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("behaviour", [Behaviour.HANG, Behaviour.ROLE_THEN_HANG, Behaviour.COMMENTS_ONLY])
async def test_silent_upstream_is_stood_in_for(
    behaviour: Behaviour, is_stream: bool, upstream: FaultUpstream, local_url: str
) -> None:
    upstream.script(Behaviour.ERROR_529)
    upstream.behaviour = behaviour
    async with (
        running_proxy(hedging(upstream, local_url)) as (_, base_url),
        AsyncOpenAI(base_url=base_url, api_key="sk", max_retries=0, timeout=30) as client,
    ):
        await client.chat.completions.create(**QUESTION)  # makes the upstream suspect
        raw = await client.chat.completions.with_raw_response.create(**QUESTION, stream=is_stream)
        if is_stream:
            _ = [chunk async for chunk in raw.parse()]
    reason = "first_content_timeout" if is_stream else "slow"
    assert raw.headers["x-hotspare-upstream"] == "local"
    assert raw.headers["x-hotspare-reason"].startswith(f"cloud: {reason}")


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
async def test_upstream_that_comes_in_time_answers_although_the_local_model_was_first(
    is_stream: bool, upstream: FaultUpstream, local_url: str, session: aiohttp.ClientSession
) -> None:
    upstream.script(Behaviour.ERROR_529)
    upstream.behaviour = Behaviour.SLOW_FIRST
    upstream.delay_seconds = 3.0
    config = hedging(upstream, local_url, first_content="8s", answer="8s")
    async with (
        running_proxy(config) as (_, base_url),
        AsyncOpenAI(base_url=base_url, api_key="sk", max_retries=0, timeout=30) as client,
    ):
        await client.chat.completions.create(**QUESTION)  # makes the upstream suspect
        raw = await client.chat.completions.with_raw_response.create(**QUESTION, stream=is_stream)
        if is_stream:
            _ = [chunk async for chunk in raw.parse()]
        seen = await scrape_until(session, base_url, is_idle)
    assert raw.headers["x-hotspare-upstream"] == "cloud"
    assert seen.value("hotspare_attempts_total", upstream="local", outcome="not_needed") == 1
