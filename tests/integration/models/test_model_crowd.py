"""The real server under several clients at once."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from proxy.wire.beginning import beginning
from tests.integration.models.conftest import until_idle
from tests.model_child import Child

pytestmark = [pytest.mark.model, pytest.mark.slow]

NAME = "smollm2-135m-instruct"
COLOUR = 'root ::= "{\\"colour\\": \\"" ("red" | "green") "\\"}"'
WEATHER = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
SYSTEM = "You are the assistant of a shop that sells bicycles, and you answer in one short sentence. " * 6


@pytest.fixture(scope="module")
def crowd_server(model_file: Path) -> Iterator[Child]:
    child = Child("--allow-grammars", "--parallel", "4", "--context", "1024")
    child.lines_until("ready")
    yield child
    child.close()


@pytest.fixture
async def crowd(crowd_server: Child) -> AsyncIterator[ClientSession]:
    async with crowd_server.connect(limit=0) as session:
        yield session
        await until_idle(session)


async def ask(
    session: ClientSession, question: str, client: str = "a", system: str = SYSTEM, **fields: Any
) -> tuple[int, Any]:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    body = {"model": NAME, "messages": messages, "max_tokens": 8, "temperature": 0} | fields
    async with session.post("/v1/chat/completions", json=body, headers={"x-hotspare-client": client}) as answer:
        return answer.status, await answer.json()


async def health(session: ClientSession) -> Any:
    async with session.get("/health") as answer:
        return await answer.json()


async def test_burst_reads_its_common_beginning_once(crowd: ClientSession) -> None:
    before = await health(crowd)
    answers = await asyncio.gather(*[ask(crowd, f"Question {number}?", "burst") for number in range(6)])
    after = await health(crowd)
    prompts = sum(body["usage"]["prompt_tokens"] for _, body in answers)
    read = after["read_tokens"] - before["read_tokens"]
    inherited = after["inherited_tokens"] - before["inherited_tokens"]
    assert [status for status, _ in answers] == [200] * 6
    assert read + inherited == prompts
    assert read < prompts / 3


async def test_clients_do_not_share_what_they_ask(crowd: ClientSession) -> None:
    await ask(crowd, "Same?", "one")
    before = await health(crowd)
    await ask(crowd, "Same?", "another")
    assert (await health(crowd))["inherited_tokens"] == before["inherited_tokens"]


async def test_streams_run_side_by_side(crowd: ClientSession) -> None:
    told: asyncio.Queue[int] = asyncio.Queue()

    async def stream(number: int) -> None:
        messages = [{"role": "user", "content": f"Tell story {number}."}]
        body = {"model": NAME, "messages": messages, "max_tokens": 12, "stream": True, "ignore_eos": True}
        async with crowd.post("/v1/chat/completions", json=body) as answer:
            async for line in answer.content:
                if b'"content":"' in line:
                    told.put_nowait(number)

    await asyncio.gather(stream(0), stream(1), stream(2))
    order = [told.get_nowait() for _ in range(told.qsize())]
    first_end = min(len(order) - 1 - order[::-1].index(number) for number in range(3))
    assert set(order[:first_end]) == {0, 1, 2}


async def test_request_that_cannot_begin_in_time_is_refused_with_the_wait(crowd: ClientSession) -> None:
    long = {"max_tokens": 300, "ignore_eos": True}
    crowding = [asyncio.create_task(ask(crowd, f"Busy {number}", **long)) for number in range(12)]
    while (await health(crowd))["queued"] < 8:
        await asyncio.sleep(0.01)
    body = {"model": NAME, "messages": [{"role": "user", "content": "Now!"}], "max_tokens": 4}
    async with crowd.post("/v1/chat/completions", json=body, headers={"x-hotspare-deadline-seconds": "0.2"}) as answer:
        refusal = await answer.json()
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) >= 1
    assert not any(task.done() for task in crowding)
    assert "deadline" in refusal["error"]["message"]
    for task in crowding:
        task.cancel()
    await asyncio.gather(*crowding, return_exceptions=True)


async def prime(crowd: ClientSession, body: dict[str, Any], client: str) -> int:
    """How many tokens were read ahead for this client, now that they are."""
    before = (await health(crowd))["read_tokens"]
    async with crowd.post("/v1/prime", json=body, headers={"x-hotspare-client": client}) as answer:
        assert answer.status == 202
        tokens = int((await answer.json())["tokens"])
    while (await health(crowd))["read_tokens"] == before:
        await asyncio.sleep(0.01)  # the engine may not have taken it yet, and be idle
    await until_idle(crowd)
    return tokens


async def test_primed_beginning_need_not_be_read_again(crowd: ClientSession) -> None:
    system = "Primed: " + SYSTEM
    body = {"model": NAME, "messages": [{"role": "system", "content": system}]}
    primed = await prime(crowd, body, "primed")
    before = await health(crowd)
    await ask(crowd, "What do you sell?", "primed", system)
    assert (await health(crowd))["inherited_tokens"] - before["inherited_tokens"] >= primed
    assert primed > 50


@pytest.mark.parametrize("leading", [[{"role": "system", "content": SYSTEM}], []], ids=["system", "alone"])
@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "function", "function": WEATHER}]},
        {"tools": [{"type": "function", "function": WEATHER}], "tool_choice": "required"},
        {"functions": [WEATHER], "response_format": {"type": "json_object"}},
    ],
    ids=["tools", "required", "functions"],
)
async def test_what_the_proxy_tells_of_a_request_is_how_its_prompt_begins(
    crowd: ClientSession, request: pytest.FixtureRequest, fields: dict[str, Any], leading: list[dict[str, str]]
) -> None:
    messages = [*leading, {"role": "user", "content": "What is the weather in Oslo?"}]
    body = {"model": NAME, "messages": messages, "max_tokens": 8} | fields
    told = json.loads(beginning(json.dumps(body).encode()) or b"{}")
    primed = await prime(crowd, told | {"model": NAME}, request.node.name)
    async with crowd.post(
        "/v1/chat/completions", json=body, headers={"x-hotspare-client": request.node.name}
    ) as answer:
        usage = (await answer.json())["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == primed
    assert primed > usage["prompt_tokens"] / 2


@pytest.mark.parametrize("delivered", ["", " 13", " 13,", " 13, 1", " 13, 14, 15", " 13, 14, 15, "])
async def test_text_goes_on_exactly_behind_what_was_delivered(crowd: ClientSession, delivered: str) -> None:
    counted = ", ".join(map(str, range(1, 13))) + ","
    body = {"model": NAME, "prompt": counted, "delivered_text": delivered, "max_tokens": 20, "temperature": 0}
    async with crowd.post("/v1/completions", json=body) as answer:
        text = (await answer.json())["choices"][0]["text"]
    assert (delivered + text).startswith(" 13, 14, 15, 16")


async def test_grammar_is_followed_beside_free_answers(crowd: ClientSession) -> None:
    free, (status, bound) = await asyncio.gather(
        ask(crowd, "Name a colour."), ask(crowd, "Name a colour.", grammar=COLOUR, max_tokens=30)
    )
    assert (free[0], status) == (200, 200)
    assert json.loads(bound["choices"][0]["message"]["content"])["colour"] in {"red", "green"}
    assert bound["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("delivered", ["", "{", '{"colour', '{"colour": ', '{"colour": "gr', '{"colour": "red"}'])
async def test_grammar_goes_on_behind_what_was_delivered(crowd: ClientSession, delivered: str) -> None:
    fields = {"grammar": COLOUR, "delivered_text": delivered, "max_tokens": 30}
    status, body = await ask(crowd, "Name a colour.", **fields)
    (choice,) = body["choices"]
    assert (status, choice["finish_reason"]) == (200, "stop")
    assert json.loads(delivered + choice["message"]["content"])["colour"] in {"red", "green"}


@pytest.mark.parametrize("stream", [False, True])
async def test_delivered_text_that_does_not_follow_the_grammar_is_named(crowd: ClientSession, stream: bool) -> None:
    status, body = await ask(crowd, "A colour.", grammar=COLOUR, delivered_text='{"colour": "bl', stream=stream)
    assert (status, body["error"]["param"]) == (400, "delivered_text")


async def test_broken_grammar_is_named(crowd: ClientSession) -> None:
    status, body = await ask(crowd, "Name a colour.", grammar="root ::= (")
    assert status == 400
    assert body["error"]["param"] == "grammar"


async def test_several_answers_go_on_each_behind_its_own_text(crowd: ClientSession) -> None:
    status, body = await ask(
        crowd, "Count.", delivered_text=["One, two", None, "1, 2"], n=3, max_tokens=8, temperature=0
    )
    assert status == 200
    assert [choice["index"] for choice in body["choices"]] == [0, 2]
    alone = [
        (await ask(crowd, "Count.", delivered_text=text, max_tokens=8, temperature=0))[1]["choices"][0]["message"]
        for text in ("One, two", "1, 2")
    ]
    assert [choice["message"]["content"] for choice in body["choices"]] == [each["content"] for each in alone]


@pytest.mark.parametrize("delivered", ["Re", ["Re"], ["a", "b", "c"], [None, None]])
async def test_texts_have_to_match_the_answers(crowd: ClientSession, delivered: object) -> None:
    status, body = await ask(crowd, "Name a colour.", delivered_text=delivered, n=2)
    assert status == 400
    assert body["error"]["param"] == "delivered_text"
