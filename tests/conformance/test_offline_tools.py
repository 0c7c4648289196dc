"""The openai SDK against the local model alone: tools, schemas, likelihoods.

The model is small: what is checked is that each answer is legal and typed, not that it is wise.
"""

import json
from typing import Any, Literal

import pytest
from openai import OpenAI
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionTokenLogprob
from pydantic import BaseModel

from tests.conformance.shapes import faults
from tests.running import MODEL

pytestmark = [pytest.mark.model, pytest.mark.slow]


class Weather(BaseModel):
    """Of a city."""

    city: Literal["Paris", "Rome"]
    celsius: bool


WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}, "celsius": {"type": "boolean"}},
            "required": ["city", "celsius"],
            "additionalProperties": False,
        },
    },
}
CLOCK: dict[str, Any] = {"type": "function", "function": {"name": "get_time"}}
NAMED: dict[str, Any] = {"type": "function", "function": {"name": "get_weather"}}

QUESTION: dict[str, Any] = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "What is the weather in Paris, and what time is it?"}],
    "max_completion_tokens": 400,
    "temperature": 0.7,
    "seed": 3,
}


def is_legal(name: str, arguments: str) -> bool:
    if name == "get_time":
        return bool(json.loads(arguments) == {})
    return name == "get_weather" and Weather.model_validate_json(arguments, strict=True) is not None


def chunks(client: OpenAI, **fields: Any) -> list[ChatCompletionChunk]:
    """Of a stream, each strictly of its type and of the document's shape."""
    with client.chat.completions.with_streaming_response.create(**{**QUESTION, **fields}, stream=True) as raw:
        lines = [line.removeprefix("data: ") for line in raw.iter_lines() if line]
    assert lines.pop() == "[DONE]"
    assert [fault for line in lines for fault in faults("chunk", json.loads(line))] == []
    return [ChatCompletionChunk.model_validate_json(line, strict=True) for line in lines]


def whole(client: OpenAI, **fields: Any) -> ChatCompletion:
    raw = client.chat.completions.with_raw_response.create(**{**QUESTION, **fields})
    assert faults("chat", json.loads(raw.content)) == []
    return ChatCompletion.model_validate_json(raw.content, strict=True)


def called(answer: ChatCompletion) -> list[tuple[str, str]]:
    calls = answer.choices[0].message.tool_calls or []
    assert all(call.id.startswith("call_") for call in calls)
    return [(call.function.name, call.function.arguments) for call in calls if call.type == "function"]


def streamed(told: list[ChatCompletionChunk]) -> list[tuple[str, str]]:
    """The calls, joined as clients do it: by index, the name from whoever has one."""
    calls: dict[int, tuple[str, str]] = {}
    for chunk in told:
        for delta in chunk.choices[0].delta.tool_calls or []:
            assert delta.function is not None
            name, arguments = calls.get(delta.index, ("", ""))
            calls[delta.index] = (name + (delta.function.name or ""), arguments + (delta.function.arguments or ""))
    return [call for _, call in sorted(calls.items())]


# ---- tools


@pytest.mark.parametrize("seed", range(4))
def test_free_answer_is_words_or_legal_calls(client: OpenAI, seed: int) -> None:
    answer = whole(client, tools=[WEATHER, CLOCK], seed=seed, max_completion_tokens=80)
    choice = answer.choices[0]
    assert all(is_legal(*call) for call in called(answer)) or choice.finish_reason == "length"
    assert "<tool_call>" not in (choice.message.content or "")
    assert (choice.finish_reason == "tool_calls") <= bool(called(answer))


@pytest.mark.parametrize("more", [{}, {"stop": ["city", "}"]}], ids=["plain", "stop"])
def test_required_call_is_one_and_legal(client: OpenAI, more: dict[str, Any]) -> None:
    answer = whole(client, tools=[WEATHER, CLOCK], tool_choice="required", parallel_tool_calls=False, **more)
    (call,) = called(answer)
    assert is_legal(*call)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (None, "tool_calls")


def test_calls_side_by_side_are_all_legal(client: OpenAI) -> None:
    answer = whole(client, tools=[WEATHER, CLOCK], tool_choice="required")
    *complete, last = called(answer)
    assert all(is_legal(*call) for call in complete)
    assert answer.choices[0].finish_reason == "length" or is_legal(*last)


def test_named_function_is_called_and_ends_as_openai_ends_it(client: OpenAI) -> None:
    answer = whole(client, tools=[WEATHER, CLOCK], tool_choice=NAMED)
    ((name, arguments),) = called(answer)
    assert name == "get_weather"
    assert is_legal(name, arguments)
    assert answer.choices[0].finish_reason == "stop"


def test_no_tool_is_called_where_none_may_be(client: OpenAI) -> None:
    answer = whole(client, tools=[WEATHER], tool_choice="none", max_completion_tokens=8)
    assert called(answer) == []
    assert answer.choices[0].message.content


@pytest.mark.parametrize(("choice", "finish"), [("required", "tool_calls"), (NAMED, "stop")])
def test_streamed_calls_are_legal_and_told_name_first(client: OpenAI, choice: Any, finish: str) -> None:
    told = chunks(client, tools=[WEATHER, CLOCK], tool_choice=choice, parallel_tool_calls=False)
    first, *others = [delta for chunk in told for delta in chunk.choices[0].delta.tool_calls or [] if delta.index == 0]
    assert (first.type, first.function and first.function.arguments) == ("function", "")
    assert (first.id or "").startswith("call_")
    assert all(delta.id is None for delta in others)
    assert all(is_legal(*call) for call in streamed(told))
    assert told[-1].choices[0].finish_reason == finish


def test_stream_helper_accumulates_calls(client: OpenAI) -> None:
    with client.chat.completions.stream(
        **QUESTION, tools=[WEATHER], tool_choice="required", parallel_tool_calls=False
    ) as stream:
        kinds = {event.type for event in stream}
        message = stream.get_final_completion().choices[0].message
    assert {"tool_calls.function.arguments.delta", "tool_calls.function.arguments.done"} <= kinds
    assert message.tool_calls
    assert Weather.model_validate(message.tool_calls[0].function.parsed_arguments)


def test_older_clients_get_a_function_call(client: OpenAI) -> None:
    answer = whole(client, functions=[WEATHER["function"]], function_call={"name": "get_weather"})
    call = answer.choices[0].message.function_call
    assert call is not None
    assert is_legal(call.name, call.arguments)


def test_results_of_calls_are_answered(client: OpenAI) -> None:
    function = {"name": "get_weather", "arguments": '{"city":"Paris","celsius":true}'}
    messages = [
        *QUESTION["messages"],
        {"role": "assistant", "tool_calls": [{"id": "call_1", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "21 degrees, sunny"},
    ]
    answer = whole(client, messages=messages, tools=[WEATHER], tool_choice="none", max_completion_tokens=16)
    assert answer.choices[0].message.content


# ---- schemas


def test_parse_gives_what_the_class_says(client: OpenAI) -> None:
    answer = client.chat.completions.parse(**QUESTION, response_format=Weather)
    assert isinstance(answer.choices[0].message.parsed, Weather)


def test_schema_is_kept_in_streams_and_in_each_of_several_answers(client: OpenAI) -> None:
    schema = {"name": "weather", "strict": True, "schema": WEATHER["function"]["parameters"]}
    form = {"type": "json_schema", "json_schema": schema}
    told = chunks(client, response_format=form, n=2)
    for index in (0, 1):
        rows = [choice for chunk in told for choice in chunk.choices if choice.index == index]
        assert Weather.model_validate_json("".join(row.delta.content or "" for row in rows), strict=True)
        assert rows[-1].finish_reason == "stop"


def test_json_object_is_one(client: OpenAI) -> None:
    answer = whole(client, response_format={"type": "json_object"}, temperature=0)
    choice = answer.choices[0]
    assert choice.finish_reason == "length" or isinstance(json.loads(choice.message.content or ""), dict)


def test_json_that_does_not_fit_says_so(client: OpenAI) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "w", "schema": WEATHER["function"]["parameters"]}}
    answer = whole(client, response_format=form, max_completion_tokens=3)
    assert answer.choices[0].finish_reason == "length"


# ---- likelihoods, usage


def check_likelihoods(tokens: list[ChatCompletionTokenLogprob], text: str | None) -> None:
    assert bytes(byte for token in tokens for byte in token.bytes or []).decode() == text
    assert {len(token.top_logprobs) for token in tokens} == {3}
    assert all(token.logprob <= 0 for token in tokens)


LIKELIHOODS: dict[str, Any] = {"logprobs": True, "top_logprobs": 3, "max_completion_tokens": 8}


def test_likelihoods_of_a_chat_spell_its_text(client: OpenAI) -> None:
    answer = whole(client, **LIKELIHOODS).choices[0]
    assert answer.logprobs is not None
    check_likelihoods(answer.logprobs.content or [], answer.message.content)


def test_likelihoods_of_a_streamed_chat_spell_its_text(client: OpenAI) -> None:
    rows = [row for chunk in chunks(client, **LIKELIHOODS) for row in chunk.choices]
    tokens = [token for row in rows if row.logprobs for token in row.logprobs.content or []]
    check_likelihoods(tokens, "".join(row.delta.content or "" for row in rows))


def test_likelihoods_of_a_completion_spell_its_text(client: OpenAI) -> None:
    raw = client.completions.with_raw_response.create(model=MODEL, prompt="One, two,", max_tokens=6, logprobs=2)
    assert faults("text", json.loads(raw.content)) == []
    choice = Completion.model_validate_json(raw.content, strict=True).choices[0]
    assert choice.logprobs is not None
    assert "".join(choice.logprobs.tokens or []) == choice.text
    assert choice.logprobs.text_offset == [
        sum(map(len, (choice.logprobs.tokens or [])[:at])) for at in range(len(choice.logprobs.tokens or []))
    ]


def test_prompt_that_was_read_before_counts_as_cached(client: OpenAI) -> None:
    usages = [whole(client, max_completion_tokens=1).usage for _ in range(2)]
    details = usages[1].prompt_tokens_details if usages[1] else None
    assert usages[1] is not None
    assert details is not None
    assert 0 < (details.cached_tokens or 0) <= usages[1].prompt_tokens


@pytest.mark.parametrize("field", ["echo", "suffix"])
def test_what_completions_cannot_do_is_named(client: OpenAI, field: str) -> None:
    answer = client.completions.with_raw_response
    with pytest.raises(Exception, match=field) as caught:
        answer.create(model=MODEL, prompt="x", extra_body={field: True if field == "echo" else "y"})
    assert faults("error", caught.value.response.json()) == []  # type: ignore[attr-defined]
