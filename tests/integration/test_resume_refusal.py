"""A model that declines to fill in a form, and breaks off as it does: the real SDK has one whole refusal."""

import json
from typing import Any

import pytest
from openai import APIError, AsyncOpenAI
from openai.types.chat import ParsedChatCompletion
from openai.types.chat.chat_completion_chunk import Choice
from pydantic import BaseModel

from tests.fakes.behaviour import Behaviour
from tests.fakes.spoken import Answer
from tests.fakes.upstream import FaultUpstream
from tests.integration.resuming import BROKEN, added_up, client_of, clouds
from tests.running import QUESTION, failing_over

REFUSAL = "I'm sorry, but naïve façades 日本語 👩‍👩‍👧 are nothing that I can help with."
REFUSING = Answer(refusal=REFUSAL)
FORM = {"type": "json_schema", "json_schema": {"name": "trip", "schema": {"type": "object"}, "strict": True}}
TOOL = {"type": "function", "function": {"name": "weather", "strict": True, "parameters": {"type": "object"}}}
CALLED = [
    {"role": "user", "content": "What is the weather?"},
    {
        "role": "assistant",
        "tool_calls": [{"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "call_a", "content": "Rain."},
    {"role": "user", "content": "Plan a robbery."},
]


class Trip(BaseModel):
    city: str
    days: int


async def asked(client: AsyncOpenAI, **extra: Any) -> ParsedChatCompletion[Trip]:
    return await added_up(client, QUESTION | {"max_tokens": 99, "response_format": Trip} | extra)


def said(completion: ParsedChatCompletion[Trip], index: int = 0) -> tuple[str | None, str | None, str]:
    choice = completion.choices[index]
    return choice.message.refusal, choice.message.content or None, choice.finish_reason


@pytest.mark.slow
@pytest.mark.parametrize("behaviour", BROKEN, ids=lambda behaviour: behaviour.name.lower())
async def test_refusal_is_finished_however_the_stream_broke(behaviour: Behaviour, upstream: FaultUpstream) -> None:
    upstream.behaviour, upstream.answers, upstream.pieces_before_fault = behaviour, (REFUSING,), 12
    async with (
        FaultUpstream(answers=(REFUSING,)) as second,
        client_of(clouds(upstream, second, prefill="hotspare")) as client,
    ):
        assert said(await asked(client, tools=[TOOL])) == (REFUSAL, None, "stop")
        told = json.loads(second.requests[0].body)
    assert told["delivered_text"] == REFUSAL[:12]
    assert not told.keys() & {"response_format", "tools"}


@pytest.mark.slow
@pytest.mark.parametrize("prefill", ["assistant", "prefix", "vllm"])
async def test_clouds_go_on_with_a_refusal(prefill: str, upstream: FaultUpstream) -> None:
    upstream.behaviour, upstream.answers = Behaviour.CUT, (REFUSING,)
    async with FaultUpstream() as second, client_of(clouds(upstream, second, prefill=prefill)) as client:
        for cut in range(1, len(REFUSAL), 9):  # at every one: tests/unit/wire/test_refusal.py
            upstream.pieces_before_fault, second.words = cut, tuple(REFUSAL[cut:])
            assert said(await asked(client, tools=[TOOL])) == (REFUSAL, None, "stop")
            told = json.loads(second.requests[-1].body)
            assert told["messages"][-1].items() >= {"role": "assistant", "content": REFUSAL[:cut]}.items()
            assert not told.keys() & {"response_format", "tools"}


async def test_one_who_breaks_too_is_gone_on_with(upstream: FaultUpstream) -> None:
    upstream.behaviour, upstream.answers, upstream.pieces_before_fault = Behaviour.CUT, (REFUSING,), 9
    async with (
        FaultUpstream(answers=(REFUSING,), behaviour=Behaviour.CUT_RESET, pieces_before_fault=30) as second,
        FaultUpstream(answers=(REFUSING,)) as third,
        client_of(clouds(upstream, second, third, prefill="hotspare")) as client,
    ):
        assert said(await asked(client)) == (REFUSAL, None, "stop")


async def test_several_answers_may_all_refuse(upstream: FaultUpstream) -> None:
    whole = (REFUSING, Answer(refusal="No."), REFUSING)
    upstream.behaviour, upstream.answers, upstream.pieces_before_fault = Behaviour.CUT, whole, 20
    async with (
        FaultUpstream(answers=whole) as second,
        client_of(clouds(upstream, second, prefill="hotspare")) as client,
    ):
        completion = await asked(client, n=3)
    assert [said(completion, index)[0] for index in range(3)] == [answer.refusal for answer in whole]


async def test_form_is_kept_for_answers_that_do_not_refuse(upstream: FaultUpstream) -> None:
    upstream.behaviour, upstream.answers = Behaviour.CUT, (REFUSING, Answer('{"city": "Rome"}'))
    upstream.pieces_before_fault = 9
    async with FaultUpstream() as second, client_of(clouds(upstream, second, prefill="hotspare")) as client:
        with pytest.raises(APIError, match="broke off"):
            await asked(client, n=2)
        assert second.requests == []


async def rows_of(client: AsyncOpenAI, **extra: Any) -> list[Choice]:
    """Nobody who goes on may end at once, as a model may that finds the sentence whole."""
    question = QUESTION | {"max_tokens": 60, "response_format": FORM, "extra_body": {"ignore_eos": True}} | extra
    stream = await client.chat.completions.create(**question, stream=True)
    return [row async for chunk in stream for row in chunk.choices]


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("cut", [1, 7, 22, 32])
async def test_local_model_finishes_a_refusal(cut: int, upstream: FaultUpstream, local_url: str) -> None:
    upstream.behaviour, upstream.answers, upstream.pieces_before_fault = Behaviour.CUT, (REFUSING,), cut
    async with client_of(failing_over(upstream, local_url)) as client:
        rows = await rows_of(client, messages=CALLED, tools=[TOOL])
    refusal = "".join(row.delta.refusal or "" for row in rows)
    assert refusal.startswith(REFUSAL[:cut])
    assert len(refusal) > cut
    assert not any(row.delta.content or row.delta.tool_calls for row in rows)
    assert [row.delta.role for row in rows].count("assistant") == 1
    assert [row.finish_reason for row in rows if row.finish_reason] == ["length"]


@pytest.mark.model
@pytest.mark.slow
async def test_likelihoods_of_the_local_model_are_those_of_the_refusal(upstream: FaultUpstream, local_url: str) -> None:
    upstream.behaviour, upstream.answers, upstream.pieces_before_fault = Behaviour.CUT, (REFUSING,), 9
    async with client_of(failing_over(upstream, local_url)) as client:
        rows = await rows_of(client, logprobs=True, max_tokens=20)
    refusal = "".join(row.delta.refusal or "" for row in rows)
    scores = [row.logprobs for row in rows if row.logprobs]
    tokens = [score.token for each in scores for score in each.refusal or ()]
    assert len(tokens) > 1
    assert "".join(tokens).endswith(refusal[9:])
    assert not any(each.content for each in scores)
