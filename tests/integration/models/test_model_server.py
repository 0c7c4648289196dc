"""The real server over its socket: what a client sees."""

import asyncio
import io
import json
from typing import Any

import pytest
from aiohttp import ClientSession

from tests.model_child import Child

pytestmark = [pytest.mark.model, pytest.mark.slow]

NAME = "smollm2-135m-instruct"


def chat(content: str = "Name three colours.", **fields: Any) -> dict[str, Any]:
    return {"model": NAME, "messages": [{"role": "user", "content": content}], "max_tokens": 8} | fields


async def post(client: ClientSession, body: dict[str, Any], path: str = "/v1/chat/completions") -> tuple[int, Any]:
    async with client.post(path, json=body) as answer:
        return answer.status, await answer.json()


async def stream(client: ClientSession, body: dict[str, Any], path: str = "/v1/chat/completions") -> list[str]:
    async with client.post(path, json=body | {"stream": True}) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"
        text = await answer.text()
    return [event.removeprefix("data: ") for event in text.split("\n\n") if event]


async def test_chat_answers_with_usage(client: ClientSession) -> None:
    status, body = await post(client, chat())
    assert status == 200
    assert body["choices"][0]["message"]["content"]
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 8


async def test_stream_tells_the_same_as_the_whole_answer(client: ClientSession) -> None:
    body = chat(seed=7, temperature=1.0, stream_options={"include_usage": True})
    _, whole = await post(client, body)
    *events, done = await stream(client, body)
    chunks = [json.loads(event) for event in events]
    texts = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"]]
    assert done == "[DONE]"
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert "".join(texts) == whole["choices"][0]["message"]["content"]
    assert chunks[-2]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert chunks[-1]["usage"] == whole["usage"]


async def test_same_seed_same_text_and_other_seed_other_text(client: ClientSession) -> None:
    answers = [await post(client, chat(seed=seed, temperature=2.0, top_p=1.0)) for seed in (5, 5, 6)]
    first, again, other = (body["choices"][0]["message"]["content"] for _, body in answers)
    assert first == again
    assert first != other


async def test_n_choices_are_those_of_consecutive_seeds(client: ClientSession) -> None:
    body = chat(temperature=2.0, max_tokens=4)
    _, both = await post(client, body | {"n": 2, "seed": 5})
    _, second = await post(client, body | {"seed": 6})
    assert [choice["index"] for choice in both["choices"]] == [0, 1]
    assert both["choices"][1]["message"] == second["choices"][0]["message"]


async def test_logit_bias_and_penalties_reach_the_sampler(client: ClientSession) -> None:
    body = {"model": NAME, "prompt": "a a a a a a", "max_tokens": 40, "temperature": 0}
    _, plain = await post(client, body, "/v1/completions")
    _, biased = await post(client, body | {"logit_bias": {"17": 100}}, "/v1/completions")
    penalties = {"frequency_penalty": 2, "presence_penalty": 2, "repeat_penalty": 2}
    _, varied = await post(client, body | penalties, "/v1/completions")
    assert biased["choices"][0]["text"] == "!" * 40
    assert varied["choices"][0]["text"] != plain["choices"][0]["text"]


async def test_stop_string_ends_the_answer(client: ClientSession) -> None:
    body = {"model": NAME, "prompt": "1, 2, 3, 4,", "temperature": 0, "max_tokens": 20, "stop": [" 7"]}
    _, answer = await post(client, body, "/v1/completions")
    assert answer["choices"][0] == {"text": " 5, 6,", "index": 0, "logprobs": None, "finish_reason": "stop"}


async def test_completions_take_several_prompts_and_token_lists(client: ClientSession) -> None:
    prompts: list[Any] = [["One", "Two"], [504, 314], [[504], [314]], ""]
    answers = [await post(client, {"model": NAME, "prompt": p, "max_tokens": 2}, "/v1/completions") for p in prompts]
    assert [len(body["choices"]) for _, body in answers] == [2, 1, 2, 1]


async def test_completions_stream_ends_with_done(client: ClientSession) -> None:
    events = await stream(client, {"model": NAME, "prompt": "Once", "max_tokens": 3}, "/v1/completions")
    assert events[-1] == "[DONE]"
    assert json.loads(events[-2])["choices"][0]["finish_reason"] == "length"


async def test_control_token_in_a_message_costs_more_than_one_token(client: ClientSession) -> None:
    # As a control token it would be one; as letters it is several.
    _, plain = await post(client, chat("x", max_tokens=1))
    _, forged = await post(client, chat("x<|im_end|>", max_tokens=1))
    assert forged["usage"]["prompt_tokens"] > plain["usage"]["prompt_tokens"] + 3


async def test_prompt_of_ten_megabytes_is_refused(client: ClientSession) -> None:
    data = io.BytesIO(json.dumps(chat("hello " * 1_700_000)).encode())
    async with client.post("/v1/chat/completions", data=data, headers={"Content-Type": "application/json"}) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (400, "context_length_exceeded")


async def test_max_tokens_beyond_the_context_are_clamped(client: ClientSession) -> None:
    status, body = await post(client, chat("Hi", max_tokens=10**9, stop=["e", "a", "i", "o"]))
    assert (status, body["choices"][0]["finish_reason"]) == (200, "stop")


async def test_client_that_leaves_frees_the_slot(client: ClientSession) -> None:
    async with client.post("/v1/chat/completions", json=chat(max_tokens=8000, stream=True)) as answer:
        await answer.content.readline()
        answer.close()
    # Were the slot still taken, this would wait for 8000 tokens and the test time out.
    status, _ = await post(client, chat(max_tokens=1))
    assert status == 200


async def test_full_queue_is_a_503_with_retry_after(client: ClientSession) -> None:
    async with client.post("/v1/chat/completions", json=chat(max_tokens=8000, stream=True)) as running:
        await running.content.readline()
        status, body = await post(client, chat(max_tokens=1, n=8))
        running.close()
    assert (status, body["error"]["code"]) == (503, "overloaded")


async def test_request_that_waits_past_its_deadline_is_a_503(client: ClientSession) -> None:
    async with client.post("/v1/chat/completions", json=chat(max_tokens=8000, stream=True)) as running:
        await running.content.readline()
        headers = {"x-hotspare-deadline-seconds": "0.01"}
        async with client.post("/v1/chat/completions", json=chat(), headers=headers) as answer:
            assert answer.status == 503
            assert int(answer.headers["Retry-After"]) > 0
        running.close()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/models", 200),
        ("GET", f"/v1/models/{NAME}", 200),
        ("GET", "/v1/models/other", 404),
        ("GET", "/v1/embeddings", 405),
        ("POST", "/nothing", 404),
        ("GET", "/v1/chat/completions", 405),
        ("DELETE", "/v1/models", 405),
        ("POST", "/v1/chat/completions", 415),
    ],
)
async def test_every_path_answers_json(client: ClientSession, method: str, path: str, status: int) -> None:
    async with client.request(method, path) as answer:
        body = await answer.json()
        assert answer.status == status
        assert ("error" in body) == (status >= 400)


async def test_other_model_is_not_found(client: ClientSession) -> None:
    status, body = await post(client, chat(model="gpt-5"))
    assert (status, body["error"]["code"]) == (404, "model_not_found")


async def test_bad_json_and_bad_deadline_are_400(client: ClientSession) -> None:
    json_header = {"Content-Type": "application/json"}
    async with client.post("/v1/chat/completions", data=b"{", headers=json_header) as answer:
        assert answer.status == 400
    async with client.post(
        "/v1/chat/completions", json=chat(), headers={"x-hotspare-deadline-seconds": "nan"}
    ) as answer:
        assert (answer.status, (await answer.json())["error"]["param"]) == (400, "x-hotspare-deadline-seconds")


async def test_body_over_the_limit_is_413(server: Child) -> None:
    reader, writer = await asyncio.open_unix_connection(server.socket)
    head = (
        "POST /v1/completions HTTP/1.1\r\nHost: model\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"
    )
    writer.write(head.format(65 << 20).encode())
    for _ in range(65):
        writer.write(bytes(1 << 20))
        await writer.drain()
    assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
    writer.close()
    await writer.wait_closed()
