"""The openai SDK against `hotspare serve` without a cloud: all that the local model answers, typed and checked."""

import asyncio
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, Omit, OpenAI
from openai.types import Completion, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.running import MODEL

pytestmark = [pytest.mark.model, pytest.mark.slow]

NEVER_ENDING = {"0": -100, "2": -100}
"""Forbids the tokens that end an answer: only the limit or a stop string ends it, whatever is sampled."""

QUESTION: dict[str, Any] = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "Name three colours."}],
    "max_completion_tokens": 8,
    "logit_bias": NEVER_ENDING,
}
ENDLESS: dict[str, Any] = {**QUESTION, "max_completion_tokens": 7000}
FINISHING: dict[str, Any] = {**QUESTION, "max_completion_tokens": 40, "stop": [" "], "temperature": 0}
"""The SDK's stream helper raises where the limit of tokens ends an answer."""
PROMPT: dict[str, Any] = {"model": MODEL, "prompt": "Once upon a time", "max_tokens": 8, "logit_bias": NEVER_ENDING}


def text(chunks: list[ChatCompletionChunk], index: int = 0) -> str:
    choices = [choice for chunk in chunks for choice in chunk.choices if choice.index == index]
    return "".join(choice.delta.content or "" for choice in choices)


# ---- chat


def test_chat_is_a_whole_typed_answer(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(**QUESTION)
    answer = ChatCompletion.model_validate_json(raw.content, strict=True)  # the SDK itself would take anything
    assert answer == raw.parse()
    assert (answer.object, answer.model) == ("chat.completion", MODEL)
    assert answer.id.startswith("chatcmpl-")
    assert [(choice.index, choice.finish_reason) for choice in answer.choices] == [(0, "length")]
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 8
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 8


def test_chat_takes_every_parameter_that_changes_nothing_it_cannot_keep(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        **QUESTION,
        frequency_penalty=0.5,
        presence_penalty=0.5,
        temperature=0.7,
        top_p=0.9,
        seed=1,
        n=1,
        stop=["never"],
        user="somebody",
        metadata={"a": "b"},
        store=False,
        logprobs=False,
        response_format={"type": "text"},
        service_tier="auto",
        reasoning_effort="low",
        parallel_tool_calls=False,
        extra_body={"top_k": 40, "min_p": 0.05, "unknown": 1},
        extra_headers={"x-extra": "1"},
    )
    assert answer.choices[0].message.content


def test_chat_takes_parts_and_every_role(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL,
        max_tokens=4,
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "system", "content": [{"type": "text", "text": "Be kind."}]},
            {"role": "user", "content": [{"type": "text", "text": "One "}, {"type": "text", "text": "colour?"}]},
            {"role": "assistant", "content": "Red."},
            {"role": "user", "content": "Another?"},
        ],
    )
    assert answer.choices[0].message.content


def test_n_gives_so_many_choices(client: OpenAI) -> None:
    answer = client.chat.completions.create(**QUESTION, n=2, seed=1, temperature=1.5)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.choices[0].message.content != answer.choices[1].message.content
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 16


def test_stop_ends_the_answer_before_the_stop_string(client: OpenAI) -> None:
    answer = client.completions.create(model=MODEL, prompt="1, 2, 3, 4,", temperature=0, max_tokens=20, stop=" 7")
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == (" 5, 6,", "stop")


def test_same_seed_gives_the_same_text(client: OpenAI) -> None:
    answers = [client.chat.completions.create(**QUESTION, seed=7, temperature=1.5) for _ in range(2)]
    assert answers[0].choices[0].message.content == answers[1].choices[0].message.content


# ---- streams


def test_stream_is_one_legal_stream_with_its_usage_at_the_end(client: OpenAI) -> None:
    with client.chat.completions.create(
        **QUESTION, seed=7, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
    *told, last = chunks
    assert len({(chunk.id, chunk.created, chunk.model, chunk.object) for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in told][-1] == "length"
    assert sum(chunk.choices[0].finish_reason is not None for chunk in told) == 1
    assert (last.choices, {chunk.usage for chunk in told}) == ([], {None})
    assert last.usage is not None
    assert last.usage.completion_tokens == 8
    whole = client.chat.completions.create(**QUESTION, seed=7)
    assert text(chunks) == whole.choices[0].message.content


def test_chunks_are_strictly_of_their_type(client: OpenAI) -> None:
    with client.chat.completions.with_streaming_response.create(**QUESTION, stream=True) as raw:
        lines = [line.removeprefix("data: ") for line in raw.iter_lines() if line]
    assert lines[-1] == "[DONE]"
    assert all(ChatCompletionChunk.model_validate_json(line, strict=True).choices for line in lines[:-1])


def test_stream_of_two_choices_keeps_them_apart(client: OpenAI) -> None:
    question = {**QUESTION, "n": 2, "seed": 1, "temperature": 1.5}
    with client.chat.completions.create(**question, stream=True) as stream:
        chunks = list(stream)
    whole = client.chat.completions.create(**question)
    assert [text(chunks, index) for index in (0, 1)] == [choice.message.content for choice in whole.choices]


def test_stream_helper_accumulates_the_answer(client: OpenAI) -> None:
    with client.chat.completions.stream(**FINISHING) as stream:
        kinds = [event.type for event in stream]
        answer = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= set(kinds)
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"


def test_stream_that_is_left_does_not_hold_up_the_next(client: OpenAI) -> None:
    with client.chat.completions.create(**ENDLESS, stream=True) as stream:
        next(iter(stream))
    assert client.chat.completions.create(**QUESTION).choices[0].message.content


# ---- legacy completions, models


def test_completion_is_a_whole_typed_answer(client: OpenAI) -> None:
    raw = client.completions.with_raw_response.create(**PROMPT)
    answer = Completion.model_validate_json(raw.content, strict=True)
    assert (answer.object, answer.model, answer.choices[0].finish_reason) == ("text_completion", MODEL, "length")
    assert answer.id.startswith("cmpl-")
    assert answer.choices[0].text
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 8


def test_completion_of_several_prompts_has_a_choice_for_each(client: OpenAI) -> None:
    answer = client.completions.create(model=MODEL, prompt=["One", "Two"], max_tokens=2)
    assert [choice.index for choice in answer.choices] == [0, 1]


def test_completion_streams_the_same_text(client: OpenAI) -> None:
    with client.completions.create(**PROMPT, seed=7, stream=True) as stream:
        chunks = list(stream)
    whole = client.completions.create(**PROMPT, seed=7)
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    assert chunks[-1].choices[0].finish_reason == "length"


def test_models_are_listed_and_retrieved(client: OpenAI) -> None:
    (listed,) = client.models.list()
    retrieved = client.models.with_raw_response.retrieve(MODEL)
    assert (listed.id, listed.object) == (MODEL, "model")
    assert Model.model_validate_json(retrieved.content, strict=True).id == MODEL


# ---- responses as HTTP


def test_raw_response_tells_who_answered(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(**{**QUESTION, "model": "gpt-4o"})
    assert raw.headers["x-hotspare-upstream"] == "local"
    assert raw.headers["x-hotspare-model"] == MODEL
    assert raw.headers["content-type"] == "application/json"
    assert raw.request_id
    assert raw.parse().model == MODEL


def test_streaming_response_of_a_whole_answer(client: OpenAI) -> None:
    with client.chat.completions.with_streaming_response.create(**QUESTION) as raw:
        answer = raw.parse()
    assert answer.choices[0].message.content


# ---- errors


def test_bad_parameter_is_a_bad_request_that_names_it(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**QUESTION, temperature=9)
    assert (caught.value.param, caught.value.type) == ("temperature", "invalid_request_error")


def test_too_long_a_prompt_is_a_bad_request_with_openais_code(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "word " * 20_000}])
    assert caught.value.code == "context_length_exceeded"


def test_refused_stream_is_an_error_not_a_stream(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(**QUESTION, temperature=9, stream=True)


def test_unknown_model_and_path_are_not_found(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="gpt-5") as caught:
        client.models.retrieve("gpt-5")
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError, match="no cloud upstream is configured"):
        client.files.list()
    with pytest.raises(openai.NotFoundError, match="no cloud upstream is configured"):
        client.responses.create(model=MODEL, input="Hi")


@pytest.mark.parametrize(
    ("cannot", "part"),
    [
        ("vision", {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}),
        ("audio", {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}),
    ],
)
def test_what_the_local_model_cannot_do_is_an_honest_503(cannot: str, part: dict[str, Any], client: OpenAI) -> None:
    with pytest.raises(openai.InternalServerError, match=f"cannot do {cannot}") as caught:
        client.chat.completions.create(**{**QUESTION, "messages": [{"role": "user", "content": [part]}]})
    assert (caught.value.status_code, caught.value.code) == (503, "no_upstream_available")


def test_embeddings_are_an_honest_503(client: OpenAI) -> None:
    with pytest.raises(openai.APIStatusError, match="cannot do embeddings") as caught:
        client.embeddings.create(model="text-embedding-3-small", input="x")
    assert caught.value.status_code == 503
    assert caught.value.response.headers["x-should-retry"] == "false"


def test_answer_comes_before_the_clients_own_timeout(client: OpenAI) -> None:
    """The SDK says how long it waits; the proxy gives up a little earlier, with a reason."""
    with pytest.raises(openai.InternalServerError, match="local: client_deadline"):
        client.chat.completions.create(**ENDLESS, timeout=2.0)


def test_client_that_hides_its_timeout_gets_it(client: OpenAI) -> None:
    with pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(
            **ENDLESS, timeout=0.5, extra_headers={"x-stainless-read-timeout": Omit(), "x-stainless-timeout": Omit()}
        )
    assert client.chat.completions.create(**QUESTION).choices[0].message.content


# ---- the asynchronous client


async def test_many_at_once_are_all_answered(async_client: AsyncOpenAI) -> None:
    async def streamed() -> str:
        chunks = [chunk async for chunk in await async_client.chat.completions.create(**QUESTION, stream=True)]
        return text(chunks)

    async def whole() -> str:
        answer: ChatCompletion = await async_client.chat.completions.create(**QUESTION)
        return answer.choices[0].message.content or ""

    assert all(await asyncio.gather(*(ask() for ask in (streamed, whole) * 3)))


async def test_async_stream_helper_accumulates_the_answer(async_client: AsyncOpenAI) -> None:
    async with async_client.chat.completions.stream(**FINISHING) as stream:
        answer = await stream.get_final_completion()
    assert answer.choices[0].message.content
