"""Streams that break half way, and proxies with somebody who goes on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from openai import AsyncOpenAI
from openai.types.chat import ParsedChatCompletion

from tests.fakes.behaviour import Behaviour
from tests.fakes.upstream import FaultUpstream
from tests.running import TIMEOUTS, running_proxy

BROKEN = [
    Behaviour.CUT,
    Behaviour.CUT_RESET,
    Behaviour.CUT_MID_EVENT,
    Behaviour.CUT_MID_UTF8,
    Behaviour.NO_FINISH,
    Behaviour.STALL,
    Behaviour.ERROR_MIDSTREAM,
    Behaviour.BAD_EVENT,
]


@asynccontextmanager
async def client_of(config: str) -> AsyncIterator[AsyncOpenAI]:
    async with (
        running_proxy(config) as (_, base_url),
        AsyncOpenAI(base_url=base_url, api_key="sk-client", max_retries=0, timeout=30) as client,
    ):
        yield client


async def added_up(client: AsyncOpenAI, question: dict[str, Any]) -> ParsedChatCompletion[Any]:
    """What the SDK has when the stream is over."""
    async with client.chat.completions.stream(**question) as stream:
        return await stream.get_final_completion()


def clouds(*upstreams: FaultUpstream, prefill: str = "assistant", resume: str = "all") -> str:
    """A configuration of one upstream, and of others in order that know how to go on; no local model."""
    named = {f"cloud{number}": upstream for number, upstream in enumerate(upstreams)}
    common = f"{TIMEOUTS}, api_key: k, prefill: {prefill}, breaker: {{consecutive: 99, minimum: 99}}"
    listed = [f'  - {{name: {name}, base_url: "{each.base_url}", {common}}}' for name, each in named.items()]
    return f"""
upstreams:
{chr(10).join(listed)}
local: false
routes: [{{match: "*", to: [{", ".join(named)}], resume: {resume}}}]
limits: {{deadline: 10s, drain: 1s}}
"""
