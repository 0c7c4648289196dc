"""A spare that rests while the cloud is well: woken by the first failure, and put to rest again."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from openai import AsyncOpenAI

from proxy.app import Hotspare
from proxy.clock import SystemClock
from proxy.core.standby import REST_SECONDS
from proxy.server import sampler
from proxy.telemetry.events import Phase
from proxy.upstreams.local import ModelServer
from tests.fakes.behaviour import Behaviour
from tests.fakes.upstream import FaultUpstream
from tests.running import MODEL, PATIENT, QUESTION, is_running, running_proxy

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.usefixtures("model_file")]


class LeapingClock(SystemClock):
    """Goes as time does, and further ahead whenever the test says so."""

    def __init__(self) -> None:
        self.leapt_seconds = 0.0

    def monotonic(self) -> float:  # type: ignore[override]
        return time.monotonic() + self.leapt_seconds


class Resting:
    """A proxy with one cloud and a spare that rests."""

    def __init__(self, hotspare: Hotspare, client: AsyncOpenAI) -> None:
        assert hotspare.model_server
        self.client = client
        self.server: ModelServer = hotspare.model_server
        self._hotspare = hotspare
        self._clock = self.server._clock = LeapingClock()

    def leap(self, seconds: float) -> None:
        """So much time passes for the supervisor, and for nobody else. What has happened until now, it knows."""
        self._hotspare.snapshot()
        self._clock.leapt_seconds += seconds

    async def answered_by(self) -> str:
        answer = await self.client.chat.completions.with_raw_response.create(**QUESTION)
        return answer.headers["x-hotspare-upstream"]

    async def comes(self, is_so: Callable[[ModelServer], bool]) -> None:
        """Wait for a change of the supervisor's state, which has no event of its own to wait on."""
        async with asyncio.timeout(30):
            while not is_so(self.server):
                await asyncio.sleep(0.02)

    async def comes_to(self, phase: Phase) -> None:
        await self.comes(lambda server: server.phase is phase)


@asynccontextmanager
async def resting(upstream: FaultUpstream, standby: str) -> AsyncIterator[Resting]:
    config = f"""
upstreams: [{{name: cloud, base_url: "{upstream.base_url}", api_key: k, {PATIENT}, breaker: {{cooldown: 200ms}}}}]
local: {{standby: {standby}, context: 512}}
limits: {{deadline: 40s, drain: 1s}}
"""
    async with (
        running_proxy(config) as (hotspare, base_url),
        AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=45) as client,
    ):
        spare = Resting(hotspare, client)
        await spare.comes_to(Phase.STANDBY)
        yield spare


@pytest.mark.parametrize("standby", ["cold", "warm"])
async def test_first_failure_wakes_the_spare_and_is_answered_by_it(upstream: FaultUpstream, standby: str) -> None:
    async with resting(upstream, standby) as spare:
        assert await spare.answered_by() == "cloud"
        assert spare.server.phase is Phase.STANDBY
        upstream.script(Behaviour.ERROR_529)
        assert await spare.answered_by() == "local"
        assert (spare.server.phase, spare.server.lives) == (Phase.READY, 1)


async def test_cold_spare_is_no_process_and_a_warm_one_is(upstream: FaultUpstream) -> None:
    async with resting(upstream, "cold") as spare:
        assert spare.server.pid is None
    async with resting(upstream, "warm") as spare:
        assert spare.server.pid is not None


async def test_warm_spare_is_woken_and_not_started_anew(upstream: FaultUpstream) -> None:
    async with resting(upstream, "warm") as spare:
        before = spare.server.pid
        upstream.script(Behaviour.ERROR_529)
        await spare.answered_by()
        assert spare.server.pid == before


async def test_failure_that_the_client_does_not_wait_for_wakes_it_too(upstream: FaultUpstream) -> None:
    async with resting(upstream, "cold") as spare:
        upstream.script(Behaviour.CUT)
        stream = await spare.client.chat.completions.create(**QUESTION, stream=True)
        await anext(aiter(stream))
        await spare.comes_to(Phase.READY)
        await stream.close()


@pytest.mark.parametrize("standby", ["cold", "warm"])
async def test_spare_that_nobody_needs_any_more_goes_to_rest_and_wakes_again(
    upstream: FaultUpstream, standby: str
) -> None:
    async with resting(upstream, standby) as spare:
        upstream.script(Behaviour.ERROR_529)
        await spare.answered_by()
        first = spare.server.pid
        assert first
        spare.leap(REST_SECONDS)
        await spare.comes(lambda server: server.phase is Phase.STANDBY and server.pid != first)
        assert not is_running(first)
        upstream.script(Behaviour.ERROR_529)
        assert await spare.answered_by() == "local"


async def test_request_that_runs_keeps_the_spare(upstream: FaultUpstream) -> None:
    async with resting(upstream, "cold") as spare:
        upstream.script(Behaviour.ERROR_529)
        question = QUESTION | {"max_tokens": 150, "extra_body": {"ignore_eos": True}, "stream": True}
        stream = await spare.client.chat.completions.create(**question)
        await anext(aiter(stream))
        spare.leap(REST_SECONDS)
        chunks = [chunk async for chunk in stream]
    assert chunks[-1].choices[0].finish_reason == "length"


async def test_spare_at_rest_is_ready_and_says_so(upstream: FaultUpstream, session: aiohttp.ClientSession) -> None:
    async with resting(upstream, "cold") as spare:
        async with session.get(str(spare.client.base_url).replace("/v1/", "/readyz")) as answer:
            assert (answer.status, (await answer.json())["local"]) == (200, "standby")
        models = [model.id async for model in spare.client.models.list()]
    assert MODEL in models


async def test_spare_that_cannot_run_is_told_at_once(upstream: FaultUpstream) -> None:
    config = f"""
upstreams: [{{name: cloud, base_url: "{upstream.base_url}", api_key: k, {PATIENT}}}]
local: {{standby: cold, model: ./no-such-file.gguf}}
limits: {{deadline: 40s, drain: 1s}}
"""
    upstream.script(Behaviour.ERROR_529)
    async with (
        running_proxy(config) as (_, base_url),
        aiohttp.ClientSession() as session,
        session.post(f"{base_url}/chat/completions", json=QUESTION) as answer,
    ):
        assert answer.status == 503
        assert "local: unavailable" in await answer.text()


async def test_system_prompt_that_came_often_is_read_before_it_is_needed(
    upstream: FaultUpstream, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampler, "_EVERY_SECONDS", 0.0)
    config = f"""
upstreams: [{{name: cloud, base_url: "{upstream.base_url}", api_key: k, {PATIENT}}}]
local: {{context: 2048}}
limits: {{deadline: 40s, drain: 1s}}
"""
    system = {"role": "system", "content": " ".join(f"Rule {number}: be brief." for number in range(60))}
    async with running_proxy(config) as (hotspare, base_url):

        async def ask(text: str) -> str:
            question = QUESTION | {"messages": [system, {"role": "user", "content": text}]}
            async with session.post(f"{base_url}/chat/completions", json=question) as answer:
                await answer.read()
                return answer.headers["x-hotspare-upstream"]

        assert hotspare.model_server
        path = hotspare.model_server._settings.socket
        for number in range(3):
            assert await ask(f"Question {number}?") == "cloud"
        async with aiohttp.ClientSession("http://model", connector=aiohttp.UnixConnector(path=path)) as model:
            before = await health_when(model, lambda told: told.get("kept_tokens", 0) > 400)
            upstream.script(Behaviour.ERROR_529)
            assert await ask("And now?") == "local"
            after = await health_when(model, lambda told: told["running"] == 0)
    inherited = after["inherited_tokens"] - before["inherited_tokens"]
    read = after["read_tokens"] - before["read_tokens"]
    assert inherited / (inherited + read) > 0.9


async def health_when(model: aiohttp.ClientSession, is_so: Callable[[dict[str, int]], bool]) -> dict[str, int]:
    """What the model server counts, once it is so."""
    async with asyncio.timeout(40):
        while True:
            try:
                async with model.get("/health") as answer:
                    told: dict[str, int] = await answer.json()
            except aiohttp.ClientConnectorError:  # it does not listen yet
                told = {}
            if is_so(told):
                return told
            await asyncio.sleep(0.05)
