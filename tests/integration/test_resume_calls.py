"""A stream that breaks inside a tool call or inside JSON: what the real SDK makes of it is the whole."""

import json
from typing import Any

import pytest
from openai import APIError, AsyncOpenAI
from openai.types.chat import ParsedChatCompletion

from tests.fakes.behaviour import Behaviour
from tests.fakes.spoken import Answer, Call, Habit
from tests.fakes.upstream import FaultUpstream
from tests.integration.resuming import BROKEN, added_up, client_of, clouds
from tests.running import QUESTION, failing_over

WEATHER = Call("call_a", "weather", r'{"city": "Zo\u00eb \"x\"", "n": 3}')
TIME = Call("call_b", "time", '{"zone": "日本"}')
ONE_CALL = Answer("", (WEATHER,))
TWO_CALLS = Answer("", (WEATHER, TIME))
TEXT_AND_CALLS = Answer("Look. 👩‍👩‍👧", (TIME, WEATHER))
TOOLS = [
    {"type": "function", "function": {"name": name, "strict": True, "parameters": {"type": "object"}}}
    for name in ("weather", "time")
]
JSON_FORMAT = {"type": "json_schema", "json_schema": {"name": "person", "schema": {"type": "object"}, "strict": True}}
JSON_TEXT = Answer(r'{"na\u006de": "Zo\u00eb \"日本\"", "tags": ["👩‍👩‍👧"]}')


TRIP = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "enum": ["Paris", "Parma", "Rome"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
        "by": {"type": "string", "enum": ["train", "plane"]},
    },
    "required": ["city", "days", "by"],
    "additionalProperties": False,
}
TRIP_TEXT = '{"city": "Paris", "days": 3, "by": "plane"}'
TRIP_TOOL = {"type": "function", "function": {"name": "trip", "strict": True, "parameters": TRIP}}
TRIP_FORMAT = {"type": "json_schema", "json_schema": {"name": "trip", "schema": TRIP, "strict": True}}


async def asked(client: AsyncOpenAI, **extra: Any) -> ParsedChatCompletion[None]:
    return await added_up(client, QUESTION | {"tools": TOOLS} | extra)


def is_trip(text: str) -> bool:
    trip = json.loads(text)
    return (
        list(trip) == TRIP["required"]
        and trip["city"] in ("Paris", "Parma")
        and trip["days"] in range(1, 10)
        and trip["by"] in ("train", "plane")
    )


def answer_of(completion: ParsedChatCompletion[None], index: int = 0) -> Answer:
    choice = completion.choices[index]
    calls = choice.message.tool_calls or []
    answer = Answer(
        choice.message.content or "",
        tuple(Call(call.id, call.function.name, call.function.arguments) for call in calls),
    )
    assert choice.finish_reason == answer.finish_reason
    return answer


@pytest.mark.slow
@pytest.mark.parametrize("behaviour", BROKEN, ids=lambda behaviour: behaviour.name.lower())
async def test_tool_call_is_finished_however_the_stream_broke(behaviour: Behaviour, upstream: FaultUpstream) -> None:
    upstream.behaviour, upstream.answers, upstream.pieces_before_fault = behaviour, (TWO_CALLS,), 12
    async with (
        FaultUpstream(answers=(TWO_CALLS,)) as second,
        client_of(clouds(upstream, second, prefill="hotspare")) as client,
    ):
        assert answer_of(await asked(client)) == TWO_CALLS


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("cut", [1, 6, 14, 24, 36])
async def test_local_model_finishes_a_call(cut: int, upstream: FaultUpstream, local_url: str) -> None:
    begun = Call("call_a", "trip", TRIP_TEXT)
    upstream.behaviour, upstream.answers, upstream.pieces_before_fault = Behaviour.CUT, (Answer("", (begun,)),), cut
    async with client_of(failing_over(upstream, local_url)) as client:
        (call,) = answer_of(await asked(client, tools=[TRIP_TOOL], parallel_tool_calls=False, max_tokens=60)).calls
    assert (call.id, call.name, is_trip(call.arguments)) == ("call_a", "trip", True)
    assert call.arguments.startswith(TRIP_TEXT[: cut - 1])


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("cut", [1, 14, 36])
async def test_local_model_finishes_a_call_in_the_old_shape(cut: int, upstream: FaultUpstream, local_url: str) -> None:
    upstream.behaviour, upstream.pieces_before_fault, upstream.habit = Behaviour.CUT, cut, Habit.OLD
    upstream.answers = (Answer("", (Call("", "trip", TRIP_TEXT),)),)
    old = QUESTION | {"functions": [{"name": "trip", "parameters": TRIP}], "max_tokens": 60}
    async with client_of(failing_over(upstream, local_url)) as client:
        chunks = [chunk async for chunk in await client.chat.completions.create(**old, stream=True)]
    rows = [row for chunk in chunks for row in chunk.choices]
    called = [row.delta.function_call for row in rows if row.delta.function_call]
    arguments = "".join(each.arguments or "" for each in called)
    assert arguments.startswith(TRIP_TEXT[: cut - 1])
    assert is_trip(arguments)
    assert [each.name for each in called if each.name] == ["trip"]
    assert [row.finish_reason for row in rows if row.finish_reason] == ["function_call"]


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("cut", [1, 13, 30])
async def test_local_model_finishes_json_by_its_schema(cut: int, upstream: FaultUpstream, local_url: str) -> None:
    upstream.behaviour, upstream.answers, upstream.pieces_before_fault = Behaviour.CUT, (Answer(TRIP_TEXT),), cut
    async with client_of(failing_over(upstream, local_url)) as client:
        completion = await asked(client, tools=[], response_format=TRIP_FORMAT, max_tokens=40)
    text = completion.choices[0].message.content or ""
    assert is_trip(text)
    assert text.startswith(TRIP_TEXT[:cut])


@pytest.mark.slow
@pytest.mark.parametrize("whole", [TWO_CALLS, TEXT_AND_CALLS, JSON_TEXT], ids=["calls", "text and calls", "json"])
async def test_answer_is_whole_wherever_the_stream_broke(whole: Answer, upstream: FaultUpstream) -> None:
    upstream.behaviour, upstream.answers = Behaviour.CUT, (whole,)
    pieces = len(whole.text) + sum(1 + len(call.arguments) for call in whole.calls)
    async with (
        FaultUpstream(answers=(whole,)) as second,
        client_of(clouds(upstream, second, prefill="hotspare")) as client,
    ):
        for cut in range(1, 1 + pieces, 5):  # at every one: tests/unit/wire/test_tool_calls.py
            upstream.pieces_before_fault = cut
            second.habit = Habit.COUNTS_ANEW if cut % 2 else Habit.REPEATS
            assert answer_of(await asked(client)) == whole


async def test_whoever_goes_on_is_told_what_there_is(upstream: FaultUpstream) -> None:
    upstream.behaviour, upstream.answers, upstream.pieces_before_fault = Behaviour.CUT, (ONE_CALL,), 8
    async with (
        FaultUpstream(answers=(ONE_CALL,)) as second,
        client_of(clouds(upstream, second, prefill="hotspare")) as client,
    ):
        await asked(client, tool_choice="required", response_format=JSON_FORMAT)
        told = json.loads(second.requests[0].body)
    function = {"name": "weather", "arguments": WEATHER.arguments[:7]}
    assert told["delivered_text"] == ""
    assert told["delivered_tool_calls"] == [{"id": "call_a", "type": "function", "function": function}]
    assert (told["tools"], told["tool_choice"], told["response_format"]) == (TOOLS, "required", JSON_FORMAT)


async def test_several_answers_may_be_text_and_calls(upstream: FaultUpstream) -> None:
    whole = (TWO_CALLS, TEXT_AND_CALLS, Answer("Text."))
    upstream.behaviour, upstream.answers, upstream.pieces_before_fault = Behaviour.CUT, whole, 41
    async with (
        FaultUpstream(answers=whole) as second,
        client_of(clouds(upstream, second, prefill="hotspare")) as client,
    ):
        completion = await asked(client, n=3)
    assert tuple(answer_of(completion, index) for index in range(3)) == whole


async def test_one_who_breaks_too_is_gone_on_with(upstream: FaultUpstream) -> None:
    upstream.behaviour, upstream.answers, upstream.pieces_before_fault = Behaviour.CUT, (TWO_CALLS,), 9
    async with (
        FaultUpstream(answers=(TWO_CALLS,), behaviour=Behaviour.CUT_RESET, pieces_before_fault=30) as second,
        FaultUpstream(answers=(TWO_CALLS,)) as third,
        client_of(clouds(upstream, second, third, prefill="hotspare")) as client,
    ):
        assert answer_of(await asked(client)) == TWO_CALLS


async def test_one_who_leaves_half_a_call_is_replaced(upstream: FaultUpstream) -> None:
    upstream.behaviour, upstream.answers, upstream.pieces_before_fault = Behaviour.CUT, (ONE_CALL,), 9
    async with (
        FaultUpstream(words=("I ", "do ", "not ", "know.")) as second,
        FaultUpstream(answers=(ONE_CALL,)) as third,
        client_of(clouds(upstream, second, third, prefill="hotspare")) as client,
    ):
        assert answer_of(await asked(client)) == ONE_CALL


async def test_half_a_call_never_ends_well(upstream: FaultUpstream) -> None:
    upstream.behaviour, upstream.answers, upstream.pieces_before_fault = Behaviour.CUT, (ONE_CALL,), 9
    half = Answer("", (WEATHER._replace(arguments=WEATHER.arguments[:20]),))
    async with (
        FaultUpstream(answers=(half,)) as second,
        client_of(clouds(upstream, second, prefill="hotspare")) as client,
    ):
        with pytest.raises(APIError, match="broke off"):
            await asked(client)
        assert len(second.requests) == 1


@pytest.mark.parametrize("prefill", ["assistant", "prefix", "vllm"])
@pytest.mark.parametrize(
    ("whole", "extra"), [(ONE_CALL, {}), (JSON_TEXT, {"response_format": JSON_FORMAT})], ids=["call", "json"]
)
async def test_who_would_begin_anew_is_not_asked(
    prefill: str, whole: Answer, extra: dict[str, Any], upstream: FaultUpstream
) -> None:
    upstream.behaviour, upstream.answers, upstream.pieces_before_fault = Behaviour.CUT, (whole,), 5
    async with FaultUpstream() as second, client_of(clouds(upstream, second, prefill=prefill)) as client:
        with pytest.raises(APIError, match="broke off"):
            await asked(client, **extra)
        assert second.requests == []
