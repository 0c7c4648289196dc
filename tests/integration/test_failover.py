"""Every way in which an upstream can fail before the client has seen anything: the client never learns of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from openai import APIError, APIStatusError, AsyncOpenAI, BadRequestError, InternalServerError, NotFoundError

from tests.fakes.behaviour import Behaviour
from tests.fakes.upstream import FaultUpstream
from tests.running import MODEL, QUESTION, TIMEOUTS, alone, failing_over, running_proxy

pytestmark = [pytest.mark.model, pytest.mark.slow]


@asynccontextmanager
async def client_of(config: str) -> AsyncIterator[AsyncOpenAI]:
    async with (
        running_proxy(config) as (_, base_url),
        AsyncOpenAI(base_url=base_url, api_key="sk-client", max_retries=0, timeout=20) as client,
    ):
        yield client


async def raw_stream(upstream: FaultUpstream) -> bytes:
    """The bytes of a streamed answer, with nobody to fail over to."""
    question = {**QUESTION, "stream": True}
    async with (
        running_proxy(alone(upstream)) as (_, base_url),
        aiohttp.ClientSession() as session,
        session.post(f"{base_url}/chat/completions", json=question) as answer,
    ):
        return await answer.read()


FAULTS = {
    Behaviour.RESET: "reset",
    Behaviour.CLOSE: "reset",
    Behaviour.GARBAGE: "bad_answer",
    Behaviour.BIG_HEADERS: "bad_answer",
    Behaviour.ERROR_500: "server_error 500",
    Behaviour.ERROR_502: "server_error 502",
    Behaviour.ERROR_502_HTML: "server_error 502",
    Behaviour.ERROR_503: "server_error 503",
    Behaviour.ERROR_529: "server_error 529",
    Behaviour.ERROR_530: "server_error 530",
    Behaviour.RATE_LIMITED_429: "rate_limited 429",
    Behaviour.RATE_LIMITED_PLAIN_429: "rate_limited 429",
    Behaviour.QUOTA_429: "rate_limited 429",
    Behaviour.UNAUTHORIZED_401: "our_key 401",
    Behaviour.PAYMENT_402: "our_key 402",
    Behaviour.FORBIDDEN_403: "our_key 403",
    Behaviour.HTML_200: "bad_answer 200",
    Behaviour.EMPTY_200: None,
    Behaviour.BROKEN_JSON_200: "bad_answer 200",
    Behaviour.ERROR_BODY_200: "bad_answer 200",
}

PASSING = {Behaviour.ERROR_500, Behaviour.ERROR_502, Behaviour.ERROR_502_HTML, Behaviour.ERROR_503}
"""What is asked again once."""

SILENCES = [
    Behaviour.HANG,
    Behaviour.HEADERS_THEN_HANG,
    Behaviour.ROLE_THEN_HANG,
    Behaviour.COMMENTS_ONLY,
]

CUT_ANSWERS = [Behaviour.CUT, Behaviour.CUT_RESET, Behaviour.CUT_MID_UTF8]


@pytest.mark.parametrize("behaviour", [*FAULTS, *CUT_ANSWERS], ids=lambda behaviour: behaviour.name.lower())
async def test_unstreamed_answer_comes_from_local_model(
    behaviour: Behaviour, upstream: FaultUpstream, local_url: str
) -> None:
    upstream.behaviour = behaviour
    async with client_of(failing_over(upstream, local_url)) as client:
        raw = await client.chat.completions.with_raw_response.create(**QUESTION)
    answer = raw.parse()
    assert answer.model == MODEL
    assert answer.choices[0].message.content
    assert raw.headers["x-hotspare-upstream"] == "local"
    assert raw.headers["x-hotspare-reason"].startswith(f"cloud: {FAULTS.get(behaviour, 'cut') or 'bad_answer'}")


@pytest.mark.parametrize("behaviour", [*FAULTS, *SILENCES], ids=lambda behaviour: behaviour.name.lower())
async def test_streamed_answer_comes_from_local_model(
    behaviour: Behaviour, upstream: FaultUpstream, local_url: str
) -> None:
    upstream.behaviour = behaviour
    async with client_of(failing_over(upstream, local_url)) as client:
        stream = await client.chat.completions.create(**QUESTION, stream=True)
        chunks = [chunk async for chunk in stream]
    assert {chunk.model for chunk in chunks} == {MODEL}
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "length"
    is_asked_again = behaviour in PASSING
    assert stream.response.headers["x-hotspare-attempts"] == ("3" if is_asked_again else "2")


async def test_silent_unstreamed_upstream_costs_its_share_of_the_deadline(
    upstream: FaultUpstream, local_url: str
) -> None:
    upstream.behaviour = Behaviour.HANG
    config = failing_over(upstream, local_url).replace(
        "deadline: 10s, local_reserve: 5s", "deadline: 6s, local_reserve: 5s"
    )
    async with client_of(config) as client:
        raw = await client.chat.completions.with_raw_response.create(**QUESTION)
    assert raw.headers["x-hotspare-reason"] == "cloud: deadline"


async def test_refused_connection_is_answered_by_local_model(upstream: FaultUpstream, local_url: str) -> None:
    await upstream.stop()
    async with client_of(failing_over(upstream, local_url)) as client:
        raw = await client.chat.completions.with_raw_response.create(**QUESTION)
    assert raw.headers["x-hotspare-reason"] == "cloud: connect"


async def test_unresolvable_name_is_answered_by_local_model(local_url: str) -> None:
    config = f"""
upstreams: [{{name: cloud, base_url: "http://cloud.invalid/v1", {TIMEOUTS}}}]
local: {{url: "{local_url}", served_model: {MODEL}}}
"""
    async with client_of(config) as client:
        raw = await client.chat.completions.with_raw_response.create(**QUESTION)
    assert raw.headers["x-hotspare-upstream"] == "local"


async def test_plain_http_behind_https_is_a_tls_failure(local_url: str) -> None:
    async def talk_plain(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(talk_plain, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        config = f"""
upstreams: [{{name: cloud, base_url: "https://127.0.0.1:{port}/v1", {TIMEOUTS}}}]
local: {{url: "{local_url}", served_model: {MODEL}}}
"""
        async with client_of(config) as client:
            raw = await client.chat.completions.with_raw_response.create(**QUESTION)
    assert raw.headers["x-hotspare-reason"] == "cloud: tls"


async def test_second_cloud_comes_before_the_local_model(upstream: FaultUpstream, local_url: str) -> None:
    upstream.behaviour = Behaviour.ERROR_503
    async with FaultUpstream() as second:
        config = f"""
upstreams:
  - {{name: first, base_url: "{upstream.base_url}", api_key: sk-first}}
  - {{name: second, base_url: "{second.base_url}", api_key: sk-second, models: {{gpt-4o: other-name}}}}
local: {{url: "{local_url}", served_model: {MODEL}}}
"""
        async with client_of(config) as client:
            raw = await client.chat.completions.with_raw_response.create(**QUESTION)
    assert raw.headers["x-hotspare-upstream"] == "second"
    assert second.requests[0].fields()["model"] == "other-name"


@pytest.mark.parametrize("stream", [False, True], ids=["unstreamed", "streamed"])
@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour.BAD_REQUEST_400,
        Behaviour.CONTEXT_LENGTH_400,
        Behaviour.NOT_FOUND_404,
        Behaviour.UNPROCESSABLE_422,
    ],
    ids=lambda behaviour: behaviour.name.lower(),
)
async def test_callers_error_passes_through_with_the_upstreams_body(
    behaviour: Behaviour, stream: bool, upstream: FaultUpstream, local_url: str
) -> None:
    upstream.behaviour = behaviour
    async with client_of(failing_over(upstream, local_url)) as client:
        with pytest.raises(APIStatusError) as caught:
            await client.chat.completions.create(**QUESTION, stream=stream)
    assert caught.value.status_code == int(behaviour.name[-3:])
    assert caught.value.response.content == upstream.sent[0].body
    assert caught.value.response.headers["x-hotspare-upstream"] == "cloud"


async def test_refusal_of_the_clients_own_key_is_the_clients_to_see(upstream: FaultUpstream, local_url: str) -> None:
    upstream.behaviour = Behaviour.UNAUTHORIZED_401
    async with client_of(failing_over(upstream, local_url, "client_key: forward")) as client:
        with pytest.raises(APIStatusError) as caught:
            await client.chat.completions.create(**QUESTION)
    assert caught.value.status_code == 401


async def test_refusal_of_no_key_at_all_goes_to_the_local_model(upstream: FaultUpstream, local_url: str) -> None:
    upstream.behaviour = Behaviour.UNAUTHORIZED_401
    async with client_of(failing_over(upstream, local_url, "client_key: forward")) as client:
        raw = await client.with_options(api_key="not-needed").chat.completions.with_raw_response.create(**QUESTION)
    assert raw.headers["x-hotspare-reason"] == "cloud: no_key 401"


@pytest.mark.parametrize("stream", [False, True], ids=["unstreamed", "streamed"])
async def test_when_nobody_is_left_there_is_one_503(stream: bool, upstream: FaultUpstream) -> None:
    upstream.behaviour = Behaviour.ERROR_500
    async with client_of(alone(upstream)) as client:
        with pytest.raises(InternalServerError) as caught:
            await client.chat.completions.create(**QUESTION, stream=stream)
    response = caught.value.response
    assert response.status_code == 503
    assert response.headers["x-should-retry"] == "false"
    assert 1 <= int(response.headers["retry-after"]) <= 60
    error = response.json()["error"]
    assert error["type"] == "server_error"
    assert "cloud: server_error 500" in error["message"]


async def test_need_that_no_upstream_meets_is_named(upstream: FaultUpstream, local_url: str) -> None:
    await upstream.stop()
    async with client_of(failing_over(upstream, local_url)) as client:
        image = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
        with pytest.raises(InternalServerError, match="local: cannot do vision"):
            await client.chat.completions.create(**{**QUESTION, "messages": [{"role": "user", "content": image}]})


async def test_local_model_stands_in_for_tools_and_schemas_with_nothing_left_out(
    upstream: FaultUpstream, local_url: str
) -> None:
    await upstream.stop()
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
    async with client_of(failing_over(upstream, local_url)) as client:
        raw = await client.chat.completions.with_raw_response.create(
            **QUESTION, tools=[tool], response_format={"type": "json_object"}, logprobs=True
        )
    assert raw.headers["x-hotspare-upstream"] == "local"
    assert "x-hotspare-degraded" not in raw.headers


@pytest.mark.model
@pytest.mark.slow
async def test_numbers_of_another_models_tokens_are_not_taken_for_the_local_ones(
    upstream: FaultUpstream, local_url: str
) -> None:
    await upstream.stop()
    bias = {"100257": -100}  # more than the local model has
    async with client_of(failing_over(upstream, local_url)) as client:
        raw = await client.chat.completions.with_raw_response.create(**QUESTION, logit_bias=bias)
        with pytest.raises(InternalServerError, match="local: cannot do token_ids"):
            await client.completions.create(model="gpt-4o", prompt=[12805, 5304])
        own = await client.completions.create(model=MODEL, prompt=[1, 2], max_tokens=1, logit_bias={"7": 100})
    assert raw.headers["x-hotspare-degraded"] == "logit_bias"
    assert own.choices[0].finish_reason == "length"


async def test_embeddings_are_never_another_models(upstream: FaultUpstream, local_url: str) -> None:
    await upstream.stop()
    async with client_of(failing_over(upstream, local_url)) as client:
        with pytest.raises(InternalServerError, match="local: cannot do embeddings"):
            await client.embeddings.create(model="text-embedding-3-small", input="x")


@pytest.mark.timeout(240)
async def test_conversation_too_long_for_the_stand_in_is_shortened(upstream: FaultUpstream) -> None:
    await upstream.stop()
    turns = [{"role": role, "content": "word " * 200} for role in ("user", "assistant") * 10]
    messages = [{"role": "system", "content": "Be brief."}, *turns, {"role": "user", "content": "And now?"}]
    config = f"""
upstreams: [{{name: cloud, base_url: "{upstream.base_url}", api_key: k}}]
local: {{model: {MODEL}, context: 512}}
"""
    async with client_of(config) as client:
        raw = await client.chat.completions.with_raw_response.create(model="gpt-4o", messages=messages, max_tokens=8)  # type: ignore[arg-type]
        with pytest.raises(BadRequestError, match="maximum context length"):
            await client.chat.completions.create(model=MODEL, messages=messages)  # type: ignore[arg-type]
    assert raw.headers["x-hotspare-degraded"] == "history"
    assert raw.parse().usage.prompt_tokens <= 512 - 8  # type: ignore[union-attr]


async def test_request_that_the_stand_in_refuses_is_not_called_a_callers_error(
    upstream: FaultUpstream, local_url: str
) -> None:
    await upstream.stop()
    async with client_of(failing_over(upstream, local_url)) as client:
        with pytest.raises(InternalServerError, match="local: caller_error 400"):
            await client.chat.completions.create(**QUESTION, temperature=9)


BROKEN_STREAMS = {
    Behaviour.CUT: "cut",
    Behaviour.CUT_RESET: "cut",
    Behaviour.CUT_MID_EVENT: "cut",
    Behaviour.CUT_MID_UTF8: "cut",
    Behaviour.NO_FINISH: "cut",
    Behaviour.STALL: "stall",
}


@pytest.mark.parametrize("behaviour", BROKEN_STREAMS, ids=lambda behaviour: behaviour.name.lower())
async def test_stream_broken_after_commit_ends_with_an_error_event(
    behaviour: Behaviour, upstream: FaultUpstream
) -> None:
    upstream.behaviour = behaviour
    body = await raw_stream(upstream)
    events = [line for line in body.split(b"\n\n") if line]
    assert b"[DONE]" not in body
    assert events[-1].startswith(b'data: {"error":')
    assert BROKEN_STREAMS[behaviour].encode() in events[-1]
    assert all(event.startswith((b"data: {", b":")) for event in events), "every event is whole"
    assert body.startswith(b"\n\n".join(events[:-1])[:20])


async def test_sdk_raises_on_a_broken_stream(upstream: FaultUpstream) -> None:
    upstream.behaviour = Behaviour.NO_FINISH
    async with client_of(alone(upstream)) as client:
        stream = await client.chat.completions.create(**QUESTION, stream=True)
        with pytest.raises(APIError, match="broke off"):
            _ = [chunk async for chunk in stream]


async def test_upstreams_own_error_event_is_not_doubled(upstream: FaultUpstream) -> None:
    upstream.behaviour = Behaviour.ERROR_MIDSTREAM
    body = await raw_stream(upstream)
    assert body == upstream.sent[0].body
    assert body.count(b'"error"') == 1


async def test_missing_done_after_a_finish_reason_is_a_good_end(upstream: FaultUpstream) -> None:
    upstream.behaviour = Behaviour.NO_DONE
    body = await raw_stream(upstream)
    assert body == upstream.sent[0].body + b"data: [DONE]\n\n"


async def test_slow_first_token_within_the_limit_is_waited_for(upstream: FaultUpstream, local_url: str) -> None:
    upstream.behaviour = Behaviour.SLOW_FIRST
    upstream.delay_seconds = 0.3
    async with client_of(failing_over(upstream, local_url)) as client:
        stream = await client.chat.completions.create(**QUESTION, stream=True)
        _ = [chunk async for chunk in stream]
    assert stream.response.headers["x-hotspare-upstream"] == "cloud"


async def test_unknown_model_is_the_callers_error_only_where_the_cloud_says_so(
    upstream: FaultUpstream, local_url: str
) -> None:
    upstream.by_model["nope"] = Behaviour.NOT_FOUND_404
    async with client_of(failing_over(upstream, local_url)) as client:
        with pytest.raises(NotFoundError):
            await client.chat.completions.create(**{**QUESTION, "model": "nope"})


async def test_local_model_asked_by_name_does_not_bother_the_cloud(upstream: FaultUpstream, local_url: str) -> None:
    async with client_of(failing_over(upstream, local_url)) as client:
        answer = await client.chat.completions.create(**{**QUESTION, "model": MODEL})
    assert answer.model == MODEL
    assert upstream.requests == []


async def test_mistake_in_a_request_to_the_local_model_is_a_callers_error(
    upstream: FaultUpstream, local_url: str
) -> None:
    async with client_of(failing_over(upstream, local_url)) as client:
        with pytest.raises(BadRequestError, match="temperature"):
            await client.chat.completions.create(**{**QUESTION, "model": MODEL}, temperature=9)


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
async def test_lone_5xx_is_asked_again_where_it_came_from(
    is_stream: bool, upstream: FaultUpstream, local_url: str
) -> None:
    upstream.script(Behaviour.ERROR_503)
    async with client_of(failing_over(upstream, local_url)) as client:
        raw = await client.chat.completions.with_raw_response.create(**QUESTION, stream=is_stream)
    assert raw.headers["x-hotspare-upstream"] == "cloud"
    assert raw.headers["x-hotspare-reason"] == "cloud: server_error 503"
    assert len(upstream.requests) == 2
