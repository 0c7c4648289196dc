"""Whatever a client sends, it gets a clear answer in OpenAI's shape, and the proxy goes on serving."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from tests.fakes.upstream import FaultUpstream
from tests.integration.raw import Answer, Connection, connected, request
from tests.running import MODEL, alone, running_proxy

CHAT = "/v1/chat/completions"
GOOD = b'{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}'
MEBIBYTE = 2**20


@pytest.fixture
async def base_url(upstream: FaultUpstream) -> AsyncIterator[str]:
    """Of a proxy that takes a mebibyte, and waits 300 ms for it."""
    limits = "limits: {body: 1MiB, body_timeout: 300ms, deadline: 2s, drain: 1s}"
    config = f'upstreams: [{{name: cloud, base_url: "{upstream.base_url}", api_key: k}}]\nlocal: false\n{limits}'
    async with running_proxy(config) as (_, url):
        yield url


@pytest.fixture
async def connection(base_url: str) -> AsyncIterator[Connection]:
    async with connected(base_url) as connection:
        yield connection


def invalid_request(answer: Answer, status: int, code: str | None) -> bool:
    error = answer.error
    return (answer.status, error["type"], error["code"]) == (status, "invalid_request_error", code)


async def is_serving(connection: Connection) -> bool:
    answer = await connection.ask(request("POST", CHAT, GOOD))
    return answer.status == 200


async def is_serving_others(base_url: str) -> bool:
    async with connected(base_url) as connection:
        return await is_serving(connection)


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def chat_of(size_bytes: int, model: str = "gpt-4o") -> bytes:
    text = "word " * (size_bytes // 5)
    return json.dumps({"model": model, "messages": [{"role": "user", "content": text}]}).encode()


# ---- the body as a whole


@pytest.mark.parametrize("path", [CHAT, "/v1/completions", "/v1/embeddings"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b'{"model":"m",}',
        b"{'model':'m'}",
        b'{"model":"m"} trailing',
        b'{"model":"m","messages":[{"role":"user","content":"\\ud83d"}]}',
        b"\x00",
        b"\xff\xfe{\x00",
        b"[]",
        b'"gpt-4o"',
        b"null",
        b"7",
        nested(100),
        nested(100_000),
        b'{"model":"m","x":' + nested(100_000) + b"}",
    ],
    ids=lambda body: repr(body[:20]) if isinstance(body, bytes) else None,
)
async def test_body_that_is_no_json_object_is_refused(
    path: str, body: bytes, connection: Connection, upstream: FaultUpstream
) -> None:
    answer = await connection.ask(
        request("POST", path, body, content_type="application/json", content_length=str(len(body)))
    )
    assert invalid_request(answer, 400, "invalid_json")
    assert upstream.requests == []
    assert await is_serving(connection)


async def test_field_nested_a_hundred_levels_deep_passes(connection: Connection, upstream: FaultUpstream) -> None:
    body = b'{"model":"m","messages":[],"x":' + nested(100) + b"}"
    answer = await connection.ask(request("POST", CHAT, body))
    assert answer.status == 200
    assert upstream.requests[0].body == body


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{}", "missing_required_parameter"),
        (b'{"model":null}', "missing_required_parameter"),
        (b'{"model":""}', "invalid_type"),
        (b'{"model":7}', "invalid_type"),
        (b'{"model":["gpt-4o"]}', "invalid_type"),
        (b'{"model":{"a":1}}', "invalid_type"),
        (b'{"model":true}', "invalid_type"),
        (b'{"model":"\xff\xfe"}', "invalid_type"),
    ],
)
async def test_body_without_a_model_name_is_refused(body: bytes, code: str, connection: Connection) -> None:
    answer = await connection.ask(request("POST", CHAT, body))
    assert invalid_request(answer, 400, code)
    assert answer.error["param"] == "model"
    assert await is_serving(connection)


@pytest.mark.parametrize("value", [b'"true"', b"1", b"{}", b"[true]"])
async def test_odd_stream_flag_is_refused(value: bytes, connection: Connection) -> None:
    answer = await connection.ask(request("POST", CHAT, b'{"model":"m","stream":' + value + b"}"))
    assert invalid_request(answer, 400, "invalid_type")
    assert answer.error["param"] == "stream"


@pytest.mark.parametrize("model", ["🐢", "a\nb", 'a"b', "a\x00b", "x" * 100_000, "../../etc", "a\r\nx-injected: 1"])
async def test_odd_model_name_is_for_the_upstream_to_judge(
    model: str, connection: Connection, upstream: FaultUpstream
) -> None:
    answer = await connection.ask(request("POST", CHAT, json.dumps({"model": model, "messages": []}).encode()))
    assert answer.status == 200
    assert upstream.requests[0].fields()["model"] == model
    assert answer.header("x-injected") is None
    assert await is_serving(connection)


# ---- size and time


@pytest.mark.slow
async def test_body_of_ten_megabytes_passes_byte_for_byte(upstream: FaultUpstream) -> None:
    body = chat_of(10_000_000)
    async with running_proxy(alone(upstream)) as (_, base_url), connected(base_url) as connection:
        answer = await connection.ask(request("POST", CHAT, body))
        assert answer.status == 200
        assert upstream.requests[0].body == body
        assert await is_serving(connection)


async def test_body_declared_too_large_is_refused_before_it_is_sent(connection: Connection, base_url: str) -> None:
    answer = await connection.ask(
        request("POST", CHAT, content_type="application/json", content_length=str(10_000_000))
    )
    assert invalid_request(answer, 413, "request_too_large")
    assert answer.header("connection") == "close"
    assert await is_serving_others(base_url)


async def test_body_declared_too_large_is_not_invited(connection: Connection) -> None:
    head = request("POST", CHAT, content_type="application/json", content_length="10000000", expect="100-continue")
    answer = await connection.ask(head)
    assert invalid_request(answer, 413, "request_too_large")


async def test_body_that_waits_for_continue_is_invited(connection: Connection, upstream: FaultUpstream) -> None:
    head = request("POST", CHAT, content_type="application/json", content_length=str(len(GOOD)), expect="100-continue")
    invitation = await connection.ask(head)
    answer = await connection.ask(GOOD)
    assert (invitation.status, answer.status) == (100, 200)
    assert upstream.requests[0].body == GOOD


async def test_chunked_body_is_refused_where_it_becomes_too_large(connection: Connection, base_url: str) -> None:
    await connection.send(request("POST", CHAT, content_type="application/json", transfer_encoding="chunked"))
    for _ in range(17):
        await connection.send(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
    answer = await connection.answer()
    assert invalid_request(answer, 413, "request_too_large")
    assert await is_serving_others(base_url)


async def test_body_of_exactly_the_limit_passes(connection: Connection) -> None:
    answer = await connection.ask(request("POST", CHAT, GOOD + b" " * (MEBIBYTE - len(GOOD))))
    assert answer.status == 200


@pytest.mark.slow
async def test_client_that_never_sends_its_body_is_sent_away(connection: Connection, base_url: str) -> None:
    await connection.send(request("POST", CHAT, content_type="application/json", content_length="100") + b'{"mod')
    assert await is_serving_others(base_url)
    answer = await connection.answer()
    assert invalid_request(answer, 408, "request_timeout")
    assert await connection.is_closed_by_peer()


@pytest.mark.slow
async def test_client_that_trickles_its_body_is_sent_away(connection: Connection) -> None:
    async def trickle() -> None:
        while True:
            await connection.send(b"1\r\n \r\n")
            await asyncio.sleep(0.05)

    await connection.send(request("POST", CHAT, content_type="application/json", transfer_encoding="chunked"))
    trickling = asyncio.create_task(trickle())
    answer = await connection.answer()
    trickling.cancel()
    assert invalid_request(answer, 408, "request_timeout")


@pytest.mark.model
@pytest.mark.slow
async def test_prompt_too_long_for_the_local_model_is_the_callers_error(local_url: str) -> None:
    config = f'local: {{url: "{local_url}", served_model: {MODEL}}}'
    async with running_proxy(config) as (_, base_url), connected(base_url) as connection:
        answer = await connection.ask(request("POST", CHAT, chat_of(10_000_000, MODEL)))
        assert invalid_request(answer, 400, "context_length_exceeded")
        again = await connection.ask(request("POST", CHAT, chat_of(10, MODEL)[:-1] + b',"max_tokens":1}'))
        assert again.status == 200


# ---- the head


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/completions", "POST"),
        ("DELETE", "/v1/completions", "POST"),
        ("PUT", "/v1/embeddings", "POST"),
        ("POST", "/v1/models", "GET"),
        ("DELETE", "/v1/models", "GET"),
    ],
)
async def test_wrong_method_is_405_and_says_the_right_one(
    method: str, path: str, allowed: str, connection: Connection
) -> None:
    answer = await connection.ask(request(method, path))
    assert invalid_request(answer, 405, "method_not_allowed")
    assert answer.header("allow") == allowed
    assert await is_serving(connection)


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/chat/completions", "/v2/models", "/favicon.ico", "/v1x/models"])
async def test_unknown_path_is_404(path: str, connection: Connection, upstream: FaultUpstream) -> None:
    answer = await connection.ask(request("GET", path))
    assert invalid_request(answer, 404, "unknown_url")
    assert upstream.requests == []
    assert await is_serving(connection)


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data; boundary=x", "application/xml", "json"])
async def test_wrong_content_type_is_415(content_type: str, connection: Connection, base_url: str) -> None:
    answer = await connection.ask(request("POST", CHAT, GOOD, content_type=content_type))
    assert invalid_request(answer, 415, "unsupported_media_type")
    assert await is_serving_others(base_url)


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.api+json"]
)
async def test_every_kind_of_json_is_taken(content_type: str, connection: Connection) -> None:
    answer = await connection.ask(request("POST", CHAT, GOOD, content_type=content_type))
    assert answer.status == 200


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "deflate, gzip"])
async def test_compressed_body_is_415(encoding: str, connection: Connection, base_url: str) -> None:
    answer = await connection.ask(request("POST", CHAT, GOOD, content_encoding=encoding))
    assert invalid_request(answer, 415, "unsupported_media_type")
    assert await is_serving_others(base_url)


LONG = b"a" * 40_000
HEADER_BOMBS = {
    "one_long_value": b"GET /v1/models HTTP/1.1\r\nhost: p\r\nx: " + LONG + b"\r\n\r\n",
    "one_long_name": b"GET /v1/models HTTP/1.1\r\nhost: p\r\n" + LONG + b": 1\r\n\r\n",
    "one_long_target": b"GET /v1/" + LONG + b" HTTP/1.1\r\nhost: p\r\n\r\n",
    "many_fields": b"GET /v1/models HTTP/1.1\r\nhost: p\r\n" + b"x: 1\r\n" * 200 + b"\r\n",
}


@pytest.mark.parametrize("bomb", HEADER_BOMBS.values(), ids=HEADER_BOMBS)
async def test_oversized_head_is_400_and_ends_the_connection(
    bomb: bytes, connection: Connection, base_url: str, upstream: FaultUpstream
) -> None:
    await connection.send(bomb)
    answer = await connection.answer()
    assert invalid_request(answer, 400, "bad_http")
    assert await connection.is_closed_by_peer()
    assert upstream.requests == []
    assert await is_serving_others(base_url)


@pytest.mark.parametrize(
    "garbage",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nhost p\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nhost: p\r\n bad-fold: 1\r\n\r\n",
        b"POST /v1/completions HTTP/1.1\r\nhost: p\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/completions HTTP/1.1\r\nhost: p\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"POST /v1/completions HTTP/1.1\r\nhost: p\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /v1/models HTTP/9.9\r\nhost: p\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_400_and_ends_the_connection(
    garbage: bytes, connection: Connection, base_url: str, upstream: FaultUpstream
) -> None:
    answer = await connection.ask(garbage)
    assert invalid_request(answer, 400, "bad_http")
    assert await connection.is_closed_by_peer()
    assert upstream.requests == []
    assert await is_serving_others(base_url)


@pytest.mark.parametrize("path", [CHAT, "/v1/files"])
async def test_broken_chunk_is_400_and_ends_the_connection(path: str, connection: Connection, base_url: str) -> None:
    head = request("POST", path, content_type="application/json", transfer_encoding="chunked")
    await connection.send(head + b"zz\r\n")
    answer = await connection.answer()
    assert invalid_request(answer, 400, "bad_http")
    assert await connection.is_closed_by_peer()
    assert await is_serving_others(base_url)


@pytest.mark.slow
async def test_chunk_that_breaks_while_the_body_is_read_uses_up_its_time(connection: Connection, base_url: str) -> None:
    head = request("POST", CHAT, content_type="application/json", transfer_encoding="chunked", expect="100-continue")
    invitation = await connection.ask(head)
    await connection.send(b"1\r\n{\r\nzz\r\n")
    answer = await connection.answer()
    assert invitation.status == 100
    assert invalid_request(answer, 408, "request_timeout")
    assert await is_serving_others(base_url)


async def test_what_is_no_http_is_not_repeated_in_the_log(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    answer = await connection.ask(b"GET /v1/models HTTP/1.1\r\nauthorization: Bearer sk-\x01secret\r\n\r\n")
    assert invalid_request(answer, 400, "bad_http")
    assert "secret" not in caplog.text + answer.body.decode()


async def test_body_that_breaks_off_disturbs_nobody(connection: Connection, base_url: str) -> None:
    await connection.send(request("POST", CHAT, content_type="application/json", content_length="100") + b"{")
    connection.writer.close()
    assert await is_serving_others(base_url)


async def test_requests_one_behind_the_other_are_answered_in_order(
    connection: Connection, upstream: FaultUpstream
) -> None:
    await connection.send(request("POST", CHAT, b"{") + request("POST", CHAT, GOOD) + request("GET", "/v1/models"))
    statuses = [(await connection.answer()).status for _ in range(3)]
    assert statuses == [400, 200, 200]
