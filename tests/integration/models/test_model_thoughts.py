"""A server whose model thinks, as a client sees it: a tiny model of noise, whose prompt opens thoughts without end."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.models.tiny import Kind, write
from tests.model_child import Child

pytestmark = pytest.mark.slow

THINKER = "{% for message in messages %}{{ message.content }}\n{% endfor %}<think>\n"
QUESTION = {"model": "tiny", "messages": [{"role": "user", "content": "the tin"}], "max_tokens": 8, "ignore_eos": True}


@pytest.fixture(scope="module")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    file = tmp_path_factory.mktemp("thinker") / "tiny.gguf"
    child = Child("--model", str(write(Kind.FULL, file, extra={"tokenizer.chat_template": THINKER})), "--threads", "1")
    child.lines_until("ready")
    yield child
    child.close()


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
