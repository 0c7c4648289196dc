"""The openai SDK cannot tell the proxy from the cloud behind it: typed results are equal to those of going direct."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionFunctionToolParam

from tests.fakes.answers import ToolCall
from tests.fakes.behaviour import Behaviour
from tests.fakes.upstream import FaultUpstream
from tests.running import QUESTION, alone, running_proxy

Ask = Callable[[AsyncOpenAI], Awaitable[Any]]

TOOL: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CALL = ToolCall("weather", ('{"ci', 'ty":', ' "Köln', '"}'))


class Pair:
    """The same cloud twice: one asked directly, one through the proxy."""

    def __init__(self, direct: AsyncOpenAI, proxied: AsyncOpenAI, clouds: tuple[FaultUpstream, FaultUpstream]) -> None:
        self.direct = direct
        self.proxied = proxied
        self.clouds = clouds

    async def same(self, ask: Ask) -> Any:
        """What both give; fails if it differs."""
        expected, got = await ask(self.direct), await ask(self.proxied)
        assert got == expected
        return got


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        clouds = [await stack.enter_async_context(FaultUpstream()) for _ in range(2)]
        _, proxy_url = await stack.enter_async_context(running_proxy(alone(clouds[1], "client_key: forward")))
        direct, proxied = [
            await stack.enter_async_context(
                AsyncOpenAI(base_url=url, api_key="sk-client", organization="org-client", max_retries=0)
            )
            for url in (clouds[0].base_url, proxy_url)
        ]
        yield Pair(direct, proxied, (clouds[0], clouds[1]))


async def test_chat(pair: Pair) -> None:
    answer = await pair.same(lambda client: client.chat.completions.create(**QUESTION))
    assert answer.choices[0].message.content == "Hello from the fake"


async def test_streamed_chat(pair: Pair) -> None:
    async def ask(client: AsyncOpenAI) -> list[Any]:
        options: dict[str, Any] = {"n": 2, "stream_options": {"include_usage": True}}
        stream = await client.chat.completions.create(**QUESTION, **options, stream=True)
        return [chunk async for chunk in stream]

    chunks = await pair.same(ask)
    assert chunks[-1].usage.completion_tokens == 8


async def test_tool_call(pair: Pair) -> None:
    for cloud in pair.clouds:
        cloud.tool_call = CALL
    answer = await pair.same(lambda client: client.chat.completions.create(**QUESTION, tools=[TOOL]))
    assert answer.choices[0].message.tool_calls[0].function.arguments == '{"city": "Köln"}'


async def test_streamed_tool_call(pair: Pair) -> None:
    for cloud in pair.clouds:
        cloud.tool_call = CALL

    async def ask(client: AsyncOpenAI) -> Any:
        async with client.chat.completions.stream(**QUESTION, tools=[TOOL]) as stream:
            return await stream.get_final_completion()

    answer = await pair.same(ask)
    assert answer.choices[0].message.tool_calls[0].function.arguments == '{"city": "Köln"}'
    assert answer.choices[0].finish_reason == "tool_calls"


async def test_completion(pair: Pair) -> None:
    answer = await pair.same(lambda client: client.completions.create(model="gpt-4o", prompt="Say hello."))
    assert answer.choices[0].text == "Hello from the fake upstream."


async def test_streamed_completion(pair: Pair) -> None:
    async def ask(client: AsyncOpenAI) -> list[Any]:
        stream = await client.completions.create(model="gpt-4o", prompt="Say hello.", stream=True)
        return [chunk async for chunk in stream]

    assert len(await pair.same(ask)) > 1


async def test_embeddings(pair: Pair) -> None:
    answer = await pair.same(lambda client: client.embeddings.create(model="text-embedding-3-small", input=["a", "bb"]))
    assert [row.index for row in answer.data] == [0, 1]


async def test_models(pair: Pair) -> None:
    async def ask(client: AsyncOpenAI) -> list[Any]:
        return [model async for model in client.models.list()]

    assert [model.id for model in await pair.same(ask)] == ["gpt-4o", "gpt-4o-mini", "text-embedding-3-small"]


async def test_request_id_is_the_clouds(pair: Pair) -> None:
    async def ask(client: AsyncOpenAI) -> str:
        raw = await client.chat.completions.with_raw_response.create(**QUESTION)
        return str(raw.request_id)

    assert await pair.same(ask) == "req_fake_1"


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour.BAD_REQUEST_400,
        Behaviour.CONTEXT_LENGTH_400,
        Behaviour.UNAUTHORIZED_401,
        Behaviour.FORBIDDEN_403,
        Behaviour.NOT_FOUND_404,
        Behaviour.UNPROCESSABLE_422,
    ],
    ids=lambda behaviour: behaviour.name.lower(),
)
@pytest.mark.parametrize("stream", [False, True], ids=["unstreamed", "streamed"])
async def test_refusal(behaviour: Behaviour, stream: bool, pair: Pair) -> None:
    for cloud in pair.clouds:
        cloud.behaviour = behaviour

    async def ask(client: AsyncOpenAI) -> tuple[type, int, Any, str]:
        with pytest.raises(openai.APIStatusError) as caught:
            await client.chat.completions.create(**QUESTION, stream=stream)
        error = caught.value
        return type(error), error.status_code, error.body, error.message

    assert (await pair.same(ask))[1] == int(behaviour.name[-3:])


@pytest.mark.parametrize("stream", [False, True], ids=["unstreamed", "streamed"])
async def test_cloud_sees_the_same_request(stream: bool, pair: Pair) -> None:
    for client in (pair.direct, pair.proxied):
        await client.chat.completions.create(**QUESTION, stream=stream, extra_body={"unknown": {"a": [1, 2.0]}})
    direct, proxied = (cloud.requests[0] for cloud in pair.clouds)
    added = {"host", "via", "accept-encoding", "connection"}

    def end_to_end(headers: Any) -> dict[str, str]:
        return {name.lower(): value for name, value in headers if name.lower() not in added}

    assert (proxied.method, proxied.target, proxied.body) == (direct.method, direct.target, direct.body)
    assert end_to_end(proxied.headers) == end_to_end(direct.headers)
