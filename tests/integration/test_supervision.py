"""Supervision of the real model server: killed, hung, impossible; and what clients see of it."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from openai import AsyncOpenAI, InternalServerError

from proxy.app import Hotspare
from tests.running import MODEL, running_proxy

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.usefixtures("model_file")]

QUESTION = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Count to ten."}], "max_tokens": 24}


@asynccontextmanager
async def offline(local: str = "") -> AsyncIterator[tuple[Hotspare, AsyncOpenAI]]:
    """A proxy with nobody but its own model server."""
    config = f"local: {{{local}}}\nlimits: {{deadline: 40s, drain: 1s}}"
    async with (
        running_proxy(config) as (hotspare, base_url),
        AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=45) as client,
    ):
        yield hotspare, client


async def changed(hotspare: Hotspare, is_so: Callable[[Hotspare], bool]) -> None:
    """Wait for a change of the supervisor's state, which has no event of its own to wait on."""
    async with asyncio.timeout(30):
        while not is_so(hotspare):
            await asyncio.sleep(0.02)


def pid_of(hotspare: Hotspare) -> int:
    assert hotspare.model_server
    pid = hotspare.model_server.pid
    assert pid
    return pid


async def test_first_request_waits_for_the_model_instead_of_failing() -> None:
    async with offline() as (_, client):
        answer = await client.chat.completions.create(**QUESTION)
    assert answer.model == MODEL


async def test_requests_survive_kill_9_of_the_model_server() -> None:
    async with offline() as (hotspare, client):
        await client.chat.completions.create(**QUESTION)
        before = pid_of(hotspare)
        under_way = [asyncio.create_task(client.chat.completions.create(**QUESTION)) for _ in range(4)]
        await asyncio.sleep(0.2)  # into the first of them; wherever the kill falls, the answers must come
        os.kill(before, signal.SIGKILL)
        answers = await asyncio.gather(*under_way)
        after = pid_of(hotspare)
    assert [answer.model for answer in answers] == [MODEL] * 4
    assert after != before


async def test_hung_model_server_is_killed_and_replaced() -> None:
    async with offline("heartbeat: 5s") as (hotspare, client):
        await client.chat.completions.create(**QUESTION)
        hung = pid_of(hotspare)
        os.kill(hung, signal.SIGSTOP)
        answer = await client.chat.completions.create(**QUESTION)
        assert pid_of(hotspare) != hung
    assert answer.choices[0].message.content
    with pytest.raises(ProcessLookupError):
        os.kill(hung, 0)


async def test_stream_cut_by_a_killed_model_server_goes_on_with_the_next_one() -> None:
    async with offline() as (hotspare, client):
        question = {**QUESTION, "max_tokens": 100}
        stream = await client.chat.completions.create(**question, stream=True, extra_body={"ignore_eos": True})
        async with asyncio.timeout(30):
            chunks = [await anext(aiter(stream)) for _ in range(3)]
        before = pid_of(hotspare)
        os.kill(before, signal.SIGKILL)
        chunks += [chunk async for chunk in stream]
        assert pid_of(hotspare) != before
    assert len(chunks) > 90, "an event is a token, but for a few"
    assert chunks[-1].choices[0].finish_reason == "length"


async def test_model_that_cannot_be_had_is_a_clear_503_at_once() -> None:
    async with offline("model: ./no-such-file.gguf") as (hotspare, client):
        assert hotspare.model_server
        await changed(hotspare, lambda it: bool(it.model_server and it.model_server.trouble))
        with pytest.raises(InternalServerError, match="local: unavailable") as caught:
            await client.chat.completions.create(**QUESTION)
        assert "no-such-file.gguf" in hotspare.model_server.trouble
    assert caught.value.response.headers["x-should-retry"] == "false"


async def test_nobody_waits_for_a_model_server_that_ends_whenever_it_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    async with offline() as (hotspare, client):
        await changed(hotspare, lambda it: bool(it.model_server and it.model_server.is_hopeless))
        async with asyncio.timeout(20):  # half of the request's own time
            with pytest.raises(InternalServerError, match="local: unavailable"):
                await client.chat.completions.create(**QUESTION)


async def test_model_server_that_cannot_be_started_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", "/no/such/python")
        async with offline() as (hotspare, client):
            await changed(hotspare, lambda it: bool(it.model_server and it.model_server.trouble))
            assert hotspare.model_server
            assert "cannot be started" in hotspare.model_server.trouble
            patched.undo()
            answer = await client.chat.completions.create(**QUESTION)
    assert answer.model == MODEL


async def test_stopped_proxy_leaves_no_model_server_behind() -> None:
    async with offline() as (hotspare, client):
        await client.chat.completions.create(**QUESTION)
        pid = pid_of(hotspare)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
