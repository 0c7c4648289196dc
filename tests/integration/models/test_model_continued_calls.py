"""Answers that go on inside tool calls and JSON, over the real server's socket."""

import json
from typing import Any

import pytest
from aiohttp import ClientSession

pytestmark = [pytest.mark.model, pytest.mark.slow]

NAME = "smollm2-135m-instruct"
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Paris \u00e9\u6f22", "Rome"]}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
LOOSE = {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}
STRICT = {"type": "function", "function": {**LOOSE["function"], "strict": True}}  # type: ignore[dict-item]
WHOLE = '{"city":"Paris \u00e9\u6f22","days":12}'


def body(**fields: Any) -> dict[str, Any]:
    question = [{"role": "user", "content": "Weather in Paris?"}]
    return {"model": NAME, "messages": question, "max_tokens": 80, "tools": [LOOSE], "temperature": 0} | fields


def call(arguments: str, call_id: str = "call_1") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "get_weather", "arguments": arguments}}


async def deltas(client: ClientSession, **fields: Any) -> list[dict[str, Any]]:
    """Of the tool calls in a stream."""
    async with client.post("/v1/chat/completions", json=body(stream=True, **fields)) as answer:
        assert answer.status == 200, await answer.text()
        events = [event.removeprefix("data: ") for event in (await answer.text()).split("\n\n") if event]
    chunks = [json.loads(event) for event in events if event != "[DONE]"]
    rows = [row for chunk in chunks for row in chunk["choices"]]
    return [delta for row in rows for delta in row["delta"].get("tool_calls", [])]


@pytest.mark.parametrize("cut", range(1, len(WHOLE), 3))
async def test_arguments_go_on_behind_any_cut_and_stay_legal(client: ClientSession, cut: int) -> None:
    delivered = [call(WHOLE[:cut])]
    told = await deltas(client, tools=[STRICT], delivered_tool_calls=delivered, parallel_tool_calls=False)
    assert all(delta.keys() == {"index", "function"} and delta["index"] == 0 for delta in told)
    joined = json.loads(WHOLE[:cut] + "".join(delta["function"]["arguments"] for delta in told))
    assert joined.keys() == {"city", "days"}
    assert joined["city"] in ("Paris \u00e9\u6f22", "Rome")


async def test_calls_that_are_complete_are_not_told_again_and_others_get_the_next_index(client: ClientSession) -> None:
    delivered = [call(WHOLE), call('{\n  "city": "Ro', "call_2")]
    told = await deltas(client, delivered_text="Let me see.", delivered_tool_calls=delivered, tool_choice="required")
    assert told
    assert told[0]["index"] == 1
    assert "id" not in told[0]
    assert [delta["index"] for delta in told if "id" in delta] == list(range(2, told[-1]["index"] + 1))


async def test_other_order_of_keys_is_gone_on_with_unless_the_function_is_strict(client: ClientSession) -> None:
    begun = '{"days":1,"ci'
    told = await deltas(client, delivered_tool_calls=[call(begun)], parallel_tool_calls=False)
    assert (begun + told[0]["function"]["arguments"]).startswith('{"days":1,"cit')
    fields = body(tools=[STRICT], delivered_tool_calls=[call(begun)])
    async with client.post("/v1/chat/completions", json=fields) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (400, "invalid_delivered_text")


async def test_of_several_answers_only_the_open_one_is_told(client: ClientSession) -> None:
    told: set[int] = set()
    fields = body(
        n=2, stream=True, delivered_text=[None, ""], delivered_tool_calls=[None, [call('{"city":')]], tool_choice="auto"
    )
    async with client.post("/v1/chat/completions", json=fields) as answer:
        for event in (await answer.text()).split("\n\n"):
            if event.startswith("data: {"):
                told |= {row["index"] for row in json.loads(event.removeprefix("data: "))["choices"]}
    assert told == {1}


async def test_words_go_on_where_tools_could_be_called(client: ClientSession) -> None:
    async with client.post("/v1/chat/completions", json=body(delivered_text="The weather in Par")) as answer:
        message = (await answer.json())["choices"][0]["message"]
    assert (message["content"] or "").startswith("is")


@pytest.mark.parametrize("begun", ['{\n    "city": "Rom', '{"city":"Rome","d', '{ "city": "R'])
async def test_json_goes_on_however_it_is_spaced(client: ClientSession, begun: str) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "w", "schema": PARAMETERS}}
    fields = body(tools=None, response_format=form, delivered_text=begun)
    async with client.post("/v1/chat/completions", json=fields) as answer:
        choice = (await answer.json())["choices"][0]
    assert json.loads(begun + choice["message"]["content"])["city"] == "Rome"
