"""A stream that breaks half way is finished by somebody else: its client sees one good stream, and no seam."""

import json

import aiohttp
import pytest
from openai import APIError

from tests.fakes.behaviour import Behaviour
from tests.fakes.upstream import FaultUpstream
from tests.integration.resuming import BROKEN, client_of, clouds
from tests.integration.scrape import is_idle, scrape_until
from tests.running import MODEL, QUESTION, failing_over, running_proxy

TEXTS = {
    "latin": ("It", "'s ", "a ", "test", ": naïve", " façade", "."),
    "cjk": ("日本", "語の", "テキ", "スト", "。"),
    "emoji": ("👩‍👩‍👧", "‍👦 ", "🇫🇷", " e", "\u0301", "!"),
    "code": ("def f(", "x):\n", "\treturn ", '{"a": [x, ', '"\\n"]}', "  # {"),
    "json": ('{"na', 'me": "Zo', "ë", '", "tags": [', '"a", ', '"b"]', "}"),
    "spaces": ("  ", "a ", " b", "  ", "\n\n"),
}


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("behaviour", BROKEN, ids=lambda behaviour: behaviour.name.lower())
async def test_local_model_finishes_what_a_cloud_began(
    behaviour: Behaviour, upstream: FaultUpstream, local_url: str
) -> None:
    upstream.behaviour = behaviour
    async with client_of(failing_over(upstream, local_url)) as client:
        stream = await client.chat.completions.create(**{**QUESTION, "max_tokens": 12}, stream=True)
        chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text.startswith("Hello from")
    assert len(text) > len("Hello from")
    assert len({chunk.id for chunk in chunks}) == 1
    assert [chunk.choices[0].finish_reason for chunk in chunks].count(None) == len(chunks) - 1
    assert [chunk.choices[0].delta.role for chunk in chunks].count("assistant") == 1
    assert {chunks[0].model, chunks[-1].model} == {"gpt-4o", MODEL}


@pytest.mark.model
@pytest.mark.slow
async def test_usage_is_that_of_the_whole_stream(upstream: FaultUpstream, local_url: str) -> None:
    upstream.behaviour = Behaviour.CUT
    question = {**QUESTION, "max_tokens": 12, "stream_options": {"include_usage": True}}
    async with client_of(failing_over(upstream, local_url)) as client:
        stream = await client.chat.completions.create(**question, stream=True, extra_body={"ignore_eos": True})
        usage = [chunk.usage async for chunk in stream][-1]
    assert usage is not None
    assert usage.completion_tokens == 12


@pytest.mark.model
@pytest.mark.slow
async def test_text_completion_is_finished_too(upstream: FaultUpstream, local_url: str) -> None:
    upstream.behaviour = Behaviour.CUT
    async with client_of(failing_over(upstream, local_url)) as client:
        stream = await client.completions.create(model="gpt-4o", prompt="Once", max_tokens=9, stream=True)
        chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].text for chunk in chunks).startswith("Hello from")
    assert chunks[-1].choices[0].finish_reason


@pytest.mark.model
@pytest.mark.slow
async def test_metrics_and_headers_tell_who_went_on(
    upstream: FaultUpstream, local_url: str, session: aiohttp.ClientSession
) -> None:
    upstream.behaviour = Behaviour.CUT
    async with running_proxy(failing_over(upstream, local_url)) as (_, base_url):
        question = {**QUESTION, "stream": True}
        async with session.post(f"{base_url}/chat/completions", json=question) as answer:
            body = await answer.read()
        seen = await scrape_until(session, base_url, is_idle)
    assert body.endswith(b"data: [DONE]\n\n")
    assert seen.value("hotspare_resumed_streams_total", from_upstream="cloud", to_upstream="local") == 1
    assert seen.value("hotspare_failovers_total", from_upstream="cloud", to_upstream="local", reason="cut") == 1
    chat = {"endpoint": "chat/completions"}
    assert seen.value("hotspare_requests_total", **chat, result="answered", upstream="cloud") == 1


@pytest.mark.model
@pytest.mark.slow
async def test_several_answers_are_all_finished_by_the_local_model(upstream: FaultUpstream, local_url: str) -> None:
    upstream.behaviour = Behaviour.CUT
    async with client_of(failing_over(upstream, local_url)) as client:
        stream = await client.chat.completions.create(**{**QUESTION, "max_tokens": 12}, stream=True, n=3)
        choices = [choice async for chunk in stream for choice in chunk.choices]
    for index in range(3):
        texts = [choice.delta.content or "" for choice in choices if choice.index == index]
        ends = [choice.finish_reason for choice in choices if choice.index == index and choice.finish_reason]
        assert "".join(texts).startswith("Hello from")
        assert len(ends) == 1


async def test_several_answers_are_not_finished_by_a_cloud(upstream: FaultUpstream) -> None:
    upstream.behaviour = Behaviour.CUT
    async with FaultUpstream() as second, client_of(clouds(upstream, second)) as client:
        stream = await client.chat.completions.create(**QUESTION, stream=True, n=2)
        with pytest.raises(APIError, match="broke off"):
            _ = [chunk async for chunk in stream]
        assert second.requests == []


@pytest.mark.parametrize("resume", ["off", "local"])
async def test_route_decides_who_may_go_on(resume: str, upstream: FaultUpstream) -> None:
    upstream.behaviour = Behaviour.CUT
    async with FaultUpstream() as second, client_of(clouds(upstream, second, resume=resume)) as client:
        stream = await client.chat.completions.create(**QUESTION, stream=True)
        with pytest.raises(APIError, match="broke off"):
            _ = [chunk async for chunk in stream]
        assert second.requests == []


@pytest.mark.parametrize("script", TEXTS)
async def test_no_character_is_lost_or_doubled_at_the_seam(script: str, upstream: FaultUpstream) -> None:
    words = TEXTS[script]
    upstream.behaviour = Behaviour.CUT
    upstream.words = words
    async with FaultUpstream() as second, client_of(clouds(upstream, second)) as client:
        for cut in range(1, len(words)):
            upstream.pieces_before_fault = cut
            second.words = words[cut:]
            stream = await client.chat.completions.create(**{**QUESTION, "max_tokens": 99}, stream=True)
            said = [chunk.choices[0].delta.content or "" async for chunk in stream]
            assert "".join(said) == "".join(words)
            delivered = json.loads(second.requests[-1].body)["messages"][-1]
            assert delivered == {"role": "assistant", "content": "".join(words[:cut])}
