"""The scripted fault upstream looks to a client as each behaviour is named."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from yarl import URL

from tests.fakes import doors
from tests.fakes.answers import ToolCall
from tests.fakes.behaviour import Behaviour
from tests.fakes.upstream import HOST, FaultUpstream

CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello"}]}
STREAMED_CHAT = {**CHAT, "stream": True}
TEXT = "Hello from the fake upstream."


@pytest.fixture
async def upstream() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream() as upstream:
        yield upstream


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as client:
        yield client


async def post(
    client: aiohttp.ClientSession,
    upstream: FaultUpstream,
    fields: dict[str, Any] = CHAT,
    path: str = "/chat/completions",
) -> tuple[aiohttp.ClientResponse, bytes]:
    async with client.post(upstream.base_url + path, json=fields) as answer:
        return answer, await answer.read()


async def read_until(answer: aiohttp.ClientResponse, mark: bytes) -> bytes:
    body = b""
    while mark not in body:
        body += await answer.content.readany()
    return body


def events(body: bytes) -> list[Any]:
    return [json.loads(line[6:]) for line in body.splitlines() if line.startswith(b"data: {")]


def text(body: bytes) -> str:
    return "".join(event["choices"][0]["delta"].get("content") or "" for event in events(body))


async def test_chat_is_answered_as_openai_does(client: aiohttp.ClientSession, upstream: FaultUpstream) -> None:
    answer, body = await post(client, upstream)
    fields = json.loads(body)
    assert fields["choices"][0]["message"]["content"] == TEXT
    assert fields["usage"] == {"prompt_tokens": 2, "completion_tokens": 6, "total_tokens": 8}
    assert answer.headers["x-request-id"] == "req_fake_1"


async def test_chat_stream_has_role_content_finish_usage_and_done(
    client: aiohttp.ClientSession, upstream: FaultUpstream
) -> None:
    answer, body = await post(client, upstream, {**STREAMED_CHAT, "stream_options": {"include_usage": True}})
    role, *pieces, finish, usage = events(body)
    assert role["choices"][0]["delta"]["role"] == "assistant"
    assert "".join(piece["choices"][0]["delta"]["content"] for piece in pieces) == TEXT
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert usage["usage"]["completion_tokens"] == 6
    assert body.endswith(b"data: [DONE]\n\n")
    assert answer.content_type == "text/event-stream"


async def test_legacy_completion_streams_text(client: aiohttp.ClientSession, upstream: FaultUpstream) -> None:
    fields = {"model": "m", "prompt": "Say", "stream": True, "n": 2, "max_tokens": 3}
    _, body = await post(client, upstream, fields, "/completions")
    second = [event["choices"][0] for event in events(body) if event["choices"][0]["index"] == 1]
    assert "".join(choice["text"] for choice in second) == "Hello from the"
    assert second[-1]["finish_reason"] == "length"


async def test_tool_call_is_delivered_in_pieces_of_its_arguments(
    client: aiohttp.ClientSession, upstream: FaultUpstream
) -> None:
    upstream.tool_call = ToolCall("weather", ('{"city"', ':"Oslo"}'))
    _, body = await post(client, upstream, {**STREAMED_CHAT, "tools": [{"type": "function"}]})
    calls = [event["choices"][0]["delta"].get("tool_calls") for event in events(body)]
    assert calls[0][0]["function"]["name"] == "weather"
    assert "".join(call[0]["function"]["arguments"] for call in calls if call) == '{"city":"Oslo"}'


async def test_embeddings_give_one_vector_for_each_input(
    client: aiohttp.ClientSession, upstream: FaultUpstream
) -> None:
    _, body = await post(client, upstream, {"model": "e", "input": ["a", "bc"]}, "/embeddings")
    assert [item["embedding"][:2] for item in json.loads(body)["data"]] == [[0.01, 0.0], [0.02, 0.01]]


async def test_unknown_path_returns_the_same_bytes(client: aiohttp.ClientSession, upstream: FaultUpstream) -> None:
    target = URL(upstream.base_url + "/files%2F?a=b%20c", encoded=True)
    async with client.put(target, data=b"\x00\xff", headers={"Content-Type": "x/y"}) as answer:
        assert await answer.read() == b"\x00\xff"
        assert answer.content_type == "x/y"
        assert answer.headers["x-echo-method"] == "PUT"
        assert answer.headers["x-echo-target"] == "/v1/files%2F?a=b%20c"


async def test_chunked_body_and_expect_continue_are_read(
    client: aiohttp.ClientSession, upstream: FaultUpstream
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"model":'
        yield b'"m"}'

    async with client.post(upstream.base_url + "/x", data=pieces(), expect100=True) as answer:
        assert answer.status == 200
    assert upstream.requests[0].body == b'{"model":"m"}'


async def test_requests_are_recorded_with_headers_as_written(upstream: FaultUpstream) -> None:
    reader, writer = await asyncio.open_connection(HOST, upstream.port)
    writer.write(b"GET /v1/models HTTP/1.1\r\nX-OdD: 1\r\nhost: a\r\nX-OdD: 2\r\nConnection: close\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
    writer.close()
    assert upstream.requests[0].headers[:3] == (("X-OdD", "1"), ("host", "a"), ("X-OdD", "2"))


async def test_sent_body_equals_what_the_client_read(client: aiohttp.ClientSession, upstream: FaultUpstream) -> None:
    _, body = await post(client, upstream, STREAMED_CHAT)
    assert upstream.sent[-1].body == body
    assert upstream.sent[-1].is_complete


async def test_one_connection_serves_many_requests(client: aiohttp.ClientSession, upstream: FaultUpstream) -> None:
    for _ in range(3):
        await post(client, upstream)
    assert (upstream.accepted, upstream.open_connections, len(upstream.requests)) == (1, 1, 3)


async def test_script_is_followed_then_the_standing_behaviour(
    client: aiohttp.ClientSession, upstream: FaultUpstream
) -> None:
    upstream.behaviour = Behaviour.BAD_REQUEST_400
    upstream.script(Behaviour.ERROR_500, Behaviour.OK)
    statuses = [(await post(client, upstream))[0].status for _ in range(3)]
    assert statuses == [500, 200, 400]


async def test_behaviour_by_model(client: aiohttp.ClientSession, upstream: FaultUpstream) -> None:
    upstream.by_model["gpt-4o"] = Behaviour.ERROR_503
    other, _ = await post(client, upstream, {**CHAT, "model": "gpt-4o-mini"})
    same, _ = await post(client, upstream)
    assert (other.status, same.status) == (200, 503)


async def test_rotation_is_gone_through_again_and_again(client: aiohttp.ClientSession, upstream: FaultUpstream) -> None:
    upstream.rotation = (Behaviour.OK, Behaviour.ERROR_500, Behaviour.ERROR_503)
    upstream.by_model["spared"] = Behaviour.OK
    statuses = [(await post(client, upstream))[0].status for _ in range(4)]
    spared, _ = await post(client, upstream, {**CHAT, "model": "spared"})
    assert [*statuses, spared.status] == [200, 500, 503, 200, 200]


async def test_check_does_not_spend_the_script_and_may_stay_green(
    client: aiohttp.ClientSession, upstream: FaultUpstream
) -> None:
    upstream.behaviour = Behaviour.ERROR_503
    upstream.check_behaviour = Behaviour.OK
    upstream.script(Behaviour.ERROR_500)
    async with client.get(upstream.base_url + "/models") as answer:
        assert answer.status == 200
    assert (await post(client, upstream))[0].status == 500


@pytest.mark.parametrize(
    ("behaviour", "status", "content_type", "code"),
    [
        (Behaviour.ERROR_500, 500, "application/json", None),
        (Behaviour.ERROR_500_HTML, 500, "text/html", None),
        (Behaviour.ERROR_502, 502, "application/json", 502),
        (Behaviour.ERROR_502_HTML, 502, "text/html", None),
        (Behaviour.ERROR_503, 503, "application/json", None),
        (Behaviour.ERROR_504, 504, "text/html", None),
        (Behaviour.ERROR_529, 529, "application/json", None),
        (Behaviour.ERROR_530, 530, "text/plain", None),
        (Behaviour.RATE_LIMITED_429, 429, "application/json", "rate_limit_exceeded"),
        (Behaviour.RATE_LIMITED_PLAIN_429, 429, "text/plain", None),
        (Behaviour.QUOTA_429, 429, "application/json", "insufficient_quota"),
        (Behaviour.UNAUTHORIZED_401, 401, "application/json", "invalid_api_key"),
        (Behaviour.PAYMENT_402, 402, "application/json", "insufficient_balance"),
        (Behaviour.FORBIDDEN_403, 403, "application/json", "unsupported_country_region_territory"),
        (Behaviour.BAD_REQUEST_400, 400, "application/json", "unsupported_value"),
        (Behaviour.CONTEXT_LENGTH_400, 400, "application/json", "context_length_exceeded"),
        (Behaviour.NOT_FOUND_404, 404, "application/json", "model_not_found"),
        (Behaviour.UNPROCESSABLE_422, 422, "application/json", None),
        (Behaviour.HTML_200, 200, "text/html", None),
        (Behaviour.ERROR_BODY_200, 200, "application/json", None),
        (Behaviour.ERROR_MIDSTREAM, 200, "application/json", None),
    ],
    ids=lambda value: value.name if isinstance(value, Behaviour) else "",
)
async def test_error_answers(
    client: aiohttp.ClientSession,
    upstream: FaultUpstream,
    behaviour: Behaviour,
    status: int,
    content_type: str,
    code: str | int | None,
) -> None:
    upstream.behaviour = behaviour
    answer, body = await post(client, upstream)
    assert (answer.status, answer.content_type) == (status, content_type)
    if content_type == "application/json":
        assert json.loads(body)["error"].get("code") == code


async def test_rate_limit_names_the_wait(client: aiohttp.ClientSession, upstream: FaultUpstream) -> None:
    upstream.behaviour, upstream.retry_after = Behaviour.RATE_LIMITED_429, "7"
    answer, _ = await post(client, upstream)
    assert answer.headers["retry-after"] == "7"


@pytest.mark.parametrize("behaviour", [Behaviour.RESET, Behaviour.CLOSE, Behaviour.GARBAGE, Behaviour.BIG_HEADERS])
async def test_answers_that_are_no_answer(
    client: aiohttp.ClientSession, upstream: FaultUpstream, behaviour: Behaviour
) -> None:
    upstream.behaviour = behaviour
    with pytest.raises(aiohttp.ClientError):
        await post(client, upstream)


async def test_reset_is_a_reset(upstream: FaultUpstream) -> None:
    upstream.behaviour = Behaviour.RESET
    reader, writer = await asyncio.open_connection(HOST, upstream.port)
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\n\r\n")
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


async def test_close_is_an_orderly_close(upstream: FaultUpstream) -> None:
    upstream.behaviour = Behaviour.CLOSE
    reader, writer = await asyncio.open_connection(HOST, upstream.port)
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\n\r\n")
    assert await reader.read() == b""
    writer.close()


async def test_empty_answers(client: aiohttp.ClientSession, upstream: FaultUpstream) -> None:
    upstream.behaviour = Behaviour.EMPTY_200
    assert (await post(client, upstream))[1] == b""
    answer, body = await post(client, upstream, STREAMED_CHAT)
    assert (answer.content_type, body) == ("text/event-stream", b"")


@pytest.mark.parametrize("fields", [CHAT, STREAMED_CHAT], ids=["json", "stream"])
async def test_broken_json_is_whole_http(
    client: aiohttp.ClientSession, upstream: FaultUpstream, fields: dict[str, Any]
) -> None:
    upstream.behaviour = Behaviour.BROKEN_JSON_200
    answer, body = await post(client, upstream, fields)
    assert answer.status == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(body.splitlines()[0].removeprefix(b"data: "))


@pytest.mark.parametrize("fields", [CHAT, STREAMED_CHAT], ids=["json", "stream"])
async def test_truncated_answer_is_whole_http(
    client: aiohttp.ClientSession, upstream: FaultUpstream, fields: dict[str, Any]
) -> None:
    upstream.behaviour = Behaviour.TRUNCATED_200
    answer, body = await post(client, upstream, fields)
    assert answer.status == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(body.splitlines()[-1].removeprefix(b"data: "))


@pytest.mark.parametrize("fields", [CHAT, STREAMED_CHAT], ids=["json", "stream"])
async def test_length_that_is_too_long_is_never_filled(
    client: aiohttp.ClientSession, upstream: FaultUpstream, fields: dict[str, Any]
) -> None:
    upstream.behaviour = Behaviour.LENGTH_TOO_LONG
    async with client.post(upstream.base_url + "/chat/completions", json=fields) as answer:
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
    assert int(answer.headers["content-length"]) == len(upstream.sent[0].body) + 64


@pytest.mark.parametrize("fields", [CHAT, STREAMED_CHAT], ids=["json", "stream"])
async def test_length_that_is_too_short_leaves_bytes_that_no_one_announced(
    upstream: FaultUpstream, fields: dict[str, Any]
) -> None:
    upstream.behaviour = Behaviour.LENGTH_TOO_SHORT
    body = json.dumps(fields).encode()
    reader, writer = await asyncio.open_connection(HOST, upstream.port)
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
    writer.write(body)
    head, _, came = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert came == upstream.sent[0].body
    assert b"content-length: %d" % (len(came) // 2) in head


async def test_error_as_first_event(client: aiohttp.ClientSession, upstream: FaultUpstream) -> None:
    upstream.behaviour = Behaviour.ERROR_BODY_200
    _, body = await post(client, upstream, STREAMED_CHAT)
    assert [list(event) for event in events(body)] == [["error"]]


async def test_error_after_some_content(client: aiohttp.ClientSession, upstream: FaultUpstream) -> None:
    upstream.behaviour = Behaviour.ERROR_MIDSTREAM
    _, body = await post(client, upstream, STREAMED_CHAT)
    *content, error = events(body)
    assert len(content) == 3
    assert "error" in error


async def test_hang_ends_when_the_client_leaves(client: aiohttp.ClientSession, upstream: FaultUpstream) -> None:
    upstream.behaviour = Behaviour.HANG
    asking = asyncio.ensure_future(post(client, upstream))
    await upstream.wait_for(lambda u: len(u.requests) == 1)
    asking.cancel()
    await upstream.wait_for(lambda u: u.hung_up == 1 and u.open_connections == 0)
    assert upstream.sent[0].status == 0
    with pytest.raises(asyncio.CancelledError):
        await asking


@pytest.mark.parametrize("fields", [CHAT, STREAMED_CHAT], ids=["json", "stream"])
async def test_headers_then_silence(
    client: aiohttp.ClientSession, upstream: FaultUpstream, fields: dict[str, Any]
) -> None:
    upstream.behaviour = Behaviour.HEADERS_THEN_HANG
    async with client.post(upstream.base_url + "/chat/completions", json=fields) as answer:
        assert answer.status == 200
        assert upstream.sent[0].body == b""
    await upstream.wait_for(lambda u: u.hung_up == 1)


async def test_role_then_silence(client: aiohttp.ClientSession, upstream: FaultUpstream) -> None:
    upstream.behaviour = Behaviour.ROLE_THEN_HANG
    async with client.post(upstream.base_url + "/chat/completions", json=STREAMED_CHAT) as answer:
        body = await read_until(answer, b"\n\n")
    await upstream.wait_for(lambda u: u.hung_up == 1)
    assert upstream.sent[0].body == body
    assert text(body) == ""


async def test_comments_come_for_ever(client: aiohttp.ClientSession, upstream: FaultUpstream) -> None:
    upstream.behaviour = Behaviour.COMMENTS_ONLY
    async with client.post(upstream.base_url + "/chat/completions", json=STREAMED_CHAT) as answer:
        body = await read_until(answer, b": keep-alive\n\n: keep-alive\n\n")
    await upstream.wait_for(lambda u: u.hung_up == 1)
    assert events(body) == []


async def test_stall_delivers_some_content_then_nothing(client: aiohttp.ClientSession, upstream: FaultUpstream) -> None:
    upstream.behaviour = Behaviour.STALL
    async with client.post(upstream.base_url + "/chat/completions", json=STREAMED_CHAT) as answer:
        body = await read_until(answer, b" from")
        await upstream.wait_for(lambda u: u.sent[0].body.endswith(b"\n\n"))
    await upstream.wait_for(lambda u: u.hung_up == 1)
    assert text(upstream.sent[0].body) == "Hello from"
    assert upstream.sent[0].body.startswith(body)


async def test_slow_answer_is_a_whole_answer(client: aiohttp.ClientSession, upstream: FaultUpstream) -> None:
    upstream.behaviour, upstream.delay_seconds = Behaviour.SLOW_FIRST, 0.01
    _, body = await post(client, upstream, STREAMED_CHAT)
    assert text(body) == TEXT


@pytest.mark.parametrize("fields", [CHAT, STREAMED_CHAT], ids=["json", "stream"])
async def test_answer_of_slow_tokens_is_a_whole_answer(
    client: aiohttp.ClientSession, upstream: FaultUpstream, fields: dict[str, Any]
) -> None:
    upstream.behaviour, upstream.token_gap_seconds = Behaviour.SLOW_TOKENS, 0.001
    await post(client, upstream, fields)
    fast, upstream.behaviour = upstream.sent[0].body, Behaviour.OK
    await post(client, upstream, fields)
    assert fast.replace(b"fake-1", b"fake-2") == upstream.sent[1].body


@pytest.mark.parametrize(
    "behaviour", [Behaviour.CUT, Behaviour.CUT_RESET, Behaviour.CUT_MID_EVENT, Behaviour.CUT_MID_UTF8]
)
@pytest.mark.parametrize("fields", [CHAT, STREAMED_CHAT], ids=["json", "stream"])
async def test_cut_answers_are_not_whole_http(
    client: aiohttp.ClientSession, upstream: FaultUpstream, behaviour: Behaviour, fields: dict[str, Any]
) -> None:
    upstream.behaviour = behaviour
    with pytest.raises(aiohttp.ClientError):
        await post(client, upstream, fields)
    assert upstream.sent[0].body
    assert not upstream.sent[0].is_complete


async def test_cut_ends_between_events(client: aiohttp.ClientSession, upstream: FaultUpstream) -> None:
    upstream.script(Behaviour.CUT, Behaviour.CUT_MID_EVENT)
    for _ in range(2):
        with pytest.raises(aiohttp.ClientError):
            await post(client, upstream, STREAMED_CHAT)
    whole, half = (sent.body for sent in upstream.sent)
    assert text(whole) == "Hello from"
    assert half.startswith(b"data: ")
    assert not half.endswith(b"\n")


@pytest.mark.parametrize("fields", [CHAT, STREAMED_CHAT], ids=["json", "stream"])
async def test_cut_inside_a_character(
    client: aiohttp.ClientSession, upstream: FaultUpstream, fields: dict[str, Any]
) -> None:
    upstream.behaviour = Behaviour.CUT_MID_UTF8
    with pytest.raises(aiohttp.ClientError):
        await post(client, upstream, fields)
    with pytest.raises(UnicodeDecodeError, match="unexpected end of data"):
        upstream.sent[0].body.decode()


async def test_stream_that_never_finishes_ends_cleanly(client: aiohttp.ClientSession, upstream: FaultUpstream) -> None:
    upstream.behaviour = Behaviour.NO_FINISH
    _, body = await post(client, upstream, STREAMED_CHAT)
    assert text(body) == "Hello from"
    assert all(event["choices"][0]["finish_reason"] is None for event in events(body))
    assert b"[DONE]" not in body


async def test_json_that_never_finishes_has_no_finish_reason(
    client: aiohttp.ClientSession, upstream: FaultUpstream
) -> None:
    upstream.behaviour = Behaviour.NO_FINISH
    _, body = await post(client, upstream)
    assert json.loads(body)["choices"][0]["finish_reason"] is None


async def test_finished_stream_without_done(client: aiohttp.ClientSession, upstream: FaultUpstream) -> None:
    upstream.behaviour = Behaviour.NO_DONE
    _, body = await post(client, upstream, STREAMED_CHAT)
    assert events(body)[-1]["choices"][0]["finish_reason"] == "stop"
    assert b"[DONE]" not in body


async def test_stopped_upstream_refuses_and_resets_then_serves_on_the_same_port(
    client: aiohttp.ClientSession, upstream: FaultUpstream
) -> None:
    upstream.behaviour = Behaviour.HANG
    asking = asyncio.ensure_future(post(client, upstream))
    await upstream.wait_for(lambda u: len(u.requests) == 1)
    await upstream.stop()
    with pytest.raises(aiohttp.ClientOSError):
        await asking
    with pytest.raises(aiohttp.ClientConnectorError):
        await post(client, upstream)
    assert (upstream.hung_up, upstream.open_connections) == (0, 0)
    upstream.behaviour = Behaviour.OK
    await upstream.restart()
    assert (await post(client, upstream))[0].status == 200


async def test_waiting_for_what_never_comes_times_out(upstream: FaultUpstream) -> None:
    with pytest.raises(TimeoutError):
        await upstream.wait_for(lambda u: u.hung_up == 1, timeout_seconds=0.01)


DOORS = {
    doors.refused: aiohttp.ClientConnectorError,
    doors.unknown: aiohttp.ClientConnectorDNSError,
    doors.never_opened: TimeoutError,
    doors.without_tls: aiohttp.ClientConnectorSSLError,
    doors.silent_tls: TimeoutError,
}


@pytest.mark.slow
@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
async def test_nobody_gets_through_a_door(door: doors.Door, client: aiohttp.ClientSession) -> None:
    async with door() as base_url:
        with pytest.raises(DOORS[door]):
            await client.get(f"{base_url}/models", timeout=aiohttp.ClientTimeout(0.3))


async def start_process(port: int) -> tuple[asyncio.subprocess.Process, int]:
    command = (sys.executable, "-m", "tests.fakes.upstream", "--port", str(port))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout
    return process, int((await process.stdout.readline()).rpartition(b":")[2])


@pytest.mark.slow
async def test_killed_process_starts_again_on_the_same_port(client: aiohttp.ClientSession) -> None:
    process, port = await start_process(0)
    process.kill()
    await process.wait()
    process, same_port = await start_process(port)
    assert same_port == port
    assert (await post(client, FaultUpstream(port=port)))[0].status == 200
    process.kill()
    await process.wait()
