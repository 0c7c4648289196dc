"""A server whose model thinks, as a client sees it: a tiny model of noise, whose prompt opens thoughts without end."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.models.tiny import Kind, Value, pieces, write
from tests.model_child import Child

pytestmark = pytest.mark.slow

THINKER = "{% for message in messages %}{{ message.content }}\n{% endfor %}<think>\n"
QUESTION = {"model": "tiny", "messages": [{"role": "user", "content": "the tin"}], "max_tokens": 8, "ignore_eos": True}


THE = 257
"""The token that is spelled so. Preferred by far, it is all that the model says."""

MARKS = ("[THINK]", "[/THINK]")


def serving(file: Path, extra: dict[str, Value]) -> Iterator[Child]:
    child = Child("--model", str(write(Kind.FULL, file, extra=extra)), "--threads", "1")
    child.lines_until("ready")
    yield child
    child.close()


@pytest.fixture(scope="module")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    yield from serving(tmp_path_factory.mktemp("thinker") / "tiny.gguf", {"tokenizer.chat_template": THINKER})


@pytest.fixture
def marked(tmp_path: Path) -> Iterator[Child]:
    """One whose marks are control tokens, as those of Magistral are."""
    tokens = [*pieces()[: -len(MARKS)], *MARKS]
    template = THINKER.replace("<think>", MARKS[0])
    yield from serving(tmp_path / "tiny.gguf", {"tokenizer.chat_template": template, "tokenizer.ggml.tokens": tokens})


def thought_tokens(usage: Any) -> int:
    tokens: int = usage["completion_tokens_details"]["reasoning_tokens"]
    return tokens


async def test_answers_that_are_thoughts_alone_cost_nothing_else(thinker: Child) -> None:
    async with thinker.connect() as session, session.post("/v1/chat/completions", json=QUESTION | {"n": 2}) as answer:
        body = await answer.json()
    assert all(choice["message"]["reasoning_content"] for choice in body["choices"])
    assert thought_tokens(body["usage"]) == body["usage"]["completion_tokens"] == 16


async def test_stream_tells_in_its_last_chunk_what_the_thoughts_cost(thinker: Child) -> None:
    asked = QUESTION | {"stream": True, "stream_options": {"include_usage": True}}
    async with thinker.connect() as session, session.post("/v1/chat/completions", json=asked) as answer:
        events = (await answer.text()).split("\n\n")
    assert thought_tokens(json.loads(events[-3].removeprefix("data: "))["usage"]) == 8


async def test_answer_that_has_no_room_for_thoughts_costs_none(thinker: Child) -> None:
    asked = QUESTION | {"delivered_text": "the an"}
    async with thinker.connect() as session, session.post("/v1/chat/completions", json=asked) as answer:
        usage = (await answer.json())["usage"]
    assert (thought_tokens(usage), usage["completion_tokens"]) == (0, 8)


async def test_thoughts_that_end_without_a_word_are_the_answer(thinker: Child) -> None:
    asked = QUESTION | {"logit_bias": {str(THE): 100}, "max_tokens": 99, "stop": "ethet"}
    async with thinker.connect() as session, session.post("/v1/chat/completions", json=asked) as answer:
        body = await answer.json()
    message = body["choices"][0]["message"]
    assert (message["content"], "reasoning_content" in message) == ("th", False)
    assert (thought_tokens(body["usage"]), body["choices"][0]["finish_reason"]) == (0, "stop")


async def test_thoughts_of_a_stream_that_ends_without_a_word_are_told_again_as_words(thinker: Child) -> None:
    asked = QUESTION | {"logit_bias": {str(THE): 100}, "max_tokens": 99, "stop": "ethet", "stream": True}
    async with thinker.connect() as session, session.post("/v1/chat/completions", json=asked) as answer:
        events = [json.loads(event.removeprefix("data: ")) for event in (await answer.text()).split("\n\n")[:-2]]
    deltas = [event["choices"][0]["delta"] for event in events]
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "th"
    assert deltas[-2:] == [{"content": "th"}, {}]


async def test_marks_that_are_control_tokens_part_thoughts_from_words(marked: Child) -> None:
    closing = len(pieces()) - 1
    asked = QUESTION | {"logit_bias": {str(closing): 100}, "max_tokens": 3}
    async with marked.connect() as session, session.post("/v1/chat/completions", json=asked) as answer:
        body = await answer.json()
    assert body["choices"][0]["message"]["content"] == 2 * MARKS[1]
    assert thought_tokens(body["usage"]) == 1
