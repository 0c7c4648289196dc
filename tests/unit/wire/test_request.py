"""Which requests are plain, and that a plain one is read as aiohttp reads it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser, RawRequestMessage
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.wire.headers import Fields
from proxy.wire.request import MAX_HEAD_BYTES, PlainHead, frame, is_whole, read

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

BODY = b'{"model":"gpt-5"}'
START = b"POST /v1/chat/completions HTTP/1.1"
HOST, LENGTH, TYPE = b"Host: p", b"Content-Length: 17", b"Content-Type: application/json"


def head(*lines: bytes, start: bytes = START) -> bytes:
    return b"\r\n".join([start, *lines]) + b"\r\n\r\n"


def plain(data: bytes) -> PlainHead | None:
    """What the two steps make of it."""
    found = frame(data)
    return read(found.head) if found else None


def parser() -> HttpRequestParser:
    """As the proxy's server has it; it asks nothing of its loop."""
    loop = cast("AbstractEventLoop", object())
    protocol = BaseProtocol(loop, None)
    return HttpRequestParser(protocol, loop, 2**16, max_field_size=2**15, max_headers=128, auto_decompress=False)


def seen_by_aiohttp(data: bytes) -> RawRequestMessage | None:
    """The first request as aiohttp's server reads it, None if it refuses it."""
    try:
        messages, _, _ = parser().feed_data(data)
    except HttpProcessingError:
        return None
    return messages[0][0] if messages else None


PLAIN = {
    "least": [HOST, LENGTH],
    "of an SDK": [
        HOST,
        b"Accept-Encoding: gzip, deflate, br, zstd",
        b"Connection: keep-alive",
        b"Accept: application/json",
        TYPE,
        b"User-Agent: OpenAI/Python 2.1.0",
        b"X-Stainless-Lang: python",
        b"Authorization: Bearer sk-1",
        LENGTH,
    ],
    "length first": [LENGTH, HOST],
    "length in lower case": [HOST, b"content-length: 17"],
    "length without a space": [HOST, b"Content-Length:17"],
    "spaces around values": [b"Host: \t p \t", b"X-A:b", b"X-Empty:", b"X-Blank:  ", LENGTH],
    "charset": [HOST, b"Content-Type: application/json; charset=utf-8", LENGTH],
    "capitals": [b"HOST: p", b"CONTENT-TYPE: Application/JSON", b"CONNECTION: Keep-Alive", LENGTH],
    "identity": [HOST, b"Content-Encoding: identity", LENGTH],
    "bytes that are no ASCII": [HOST, b"X-A: \xc3\xa9\xff", LENGTH],
    "odd names": [HOST, b"!#$%&'*+-.^_`|~9: x", LENGTH],
    "colons in values": [HOST, b"X-A: a:b: c", LENGTH],
    "repeated fields": [HOST, b"X-A: 1", b"X-A: 2", LENGTH],
    "no body": [HOST, b"Content-Length: 0"],
}

NOT_PLAIN = {
    "chunks": [HOST, b"Transfer-Encoding: chunked"],
    "chunks and a length": [HOST, b"Transfer-Encoding: chunked", LENGTH],
    "no length": [HOST],
    "two lengths": [HOST, LENGTH, LENGTH],
    "two lengths in different case": [HOST, LENGTH, b"CONTENT-LENGTH: 17"],
    "lengths in a list": [HOST, b"Content-Length: 17, 17"],
    "negative length": [HOST, b"Content-Length: -1"],
    "length with a sign": [HOST, b"Content-Length: +17"],
    "length that is none": [HOST, b"Content-Length: 0x11"],
    "length of eleven digits": [HOST, b"Content-Length: 12345678901"],
    "no host": [LENGTH],
    "two hosts": [HOST, HOST, LENGTH],
    "invitation": [HOST, b"Expect: 100-continue", LENGTH],
    "upgrade": [HOST, b"Connection: upgrade", b"Upgrade: websocket", LENGTH],
    "upgrade alone": [HOST, b"Upgrade: h2c", LENGTH],
    "close": [HOST, b"Connection: close", LENGTH],
    "nominated fields": [HOST, b"Connection: keep-alive, x-a", LENGTH],
    "two connections": [HOST, b"Connection: keep-alive", b"Connection: keep-alive", LENGTH],
    "trailers": [HOST, b"TE: trailers", LENGTH],
    "announced trailer": [HOST, b"Trailer: x", LENGTH],
    "other type": [HOST, b"Content-Type: text/plain", LENGTH],
    "another JSON": [HOST, b"Content-Type: application/vnd.api+json", LENGTH],
    "empty type": [HOST, b"Content-Type:", LENGTH],
    "two types": [HOST, TYPE, TYPE, LENGTH],
    "compressed": [HOST, b"Content-Encoding: gzip", LENGTH],
    "compressed, says the first": [HOST, b"Content-Encoding: gzip", b"Content-Encoding: identity", LENGTH],
    "space in a name": [HOST, b"X A: b", LENGTH],
    "space behind a name": [HOST, b"X-A : b", LENGTH],
    "no name": [HOST, b": b", LENGTH],
    "no colon": [HOST, b"X-A", LENGTH],
    "folded": [HOST, b"X-A: b", b" c", LENGTH],
    "control character": [HOST, b"X-A: \x01", LENGTH],
    "delete": [HOST, b"X-A: \x7f", LENGTH],
    "NUL": [HOST, b"X-A: \0", LENGTH],
    "line feed alone": [b"Host: p\nX-A: b", LENGTH],
    "carriage return alone": [HOST, b"X-A: b\rc", LENGTH],
    "name that is no ASCII": [HOST, b"X-\xc3\xa9: b", LENGTH],
}

STARTS = [
    b"GET /v1/chat/completions HTTP/1.1",
    b"post /v1/chat/completions HTTP/1.1",
    b"POST /v1/chat/completions HTTP/1.0",
    b"POST /v1/chat/completions HTTP/1.2",
    b"POST /v1/chat/completions",
    b"POST /v1/chat/completions?a=1 HTTP/1.1",
    b"POST /v1/chat/completions/ HTTP/1.1",
    b"POST /v1//chat/completions HTTP/1.1",
    b"POST /v1/chat%2Fcompletions HTTP/1.1",
    b"POST /v1/files HTTP/1.1",
    b"POST http://p/v1/chat/completions HTTP/1.1",
    b"POST  /v1/chat/completions HTTP/1.1",
    b"POST /v1/chat/completions HTTP/1.1 ",
    b"\r\nPOST /v1/chat/completions HTTP/1.1",
    b" POST /v1/chat/completions HTTP/1.1",
]


@pytest.mark.parametrize("name", PLAIN)
def test_plain_request_is_one(name: str) -> None:
    found = plain(head(*PLAIN[name]) + BODY)
    assert found
    assert found.path == "/v1/chat/completions"


@pytest.mark.parametrize("name", NOT_PLAIN)
def test_request_that_is_not_plain_is_none(name: str) -> None:
    assert plain(head(*NOT_PLAIN[name]) + BODY) is None


@pytest.mark.parametrize("start", STARTS)
def test_other_request_lines_are_not_plain(start: bytes) -> None:
    assert plain(head(HOST, LENGTH, start=start) + BODY) is None


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"])
def test_every_path_that_can_fail_over_is_plain(path: str) -> None:
    found = plain(head(HOST, LENGTH, start=f"POST {path} HTTP/1.1".encode()))
    assert found
    assert found.path == path


def test_frame_says_where_the_body_lies() -> None:
    data = head(HOST, LENGTH) + BODY + b"POST /next"
    found = frame(data)
    assert found
    assert (data[found.body_at : found.end], found.head) == (BODY, START + b"\r\n" + HOST)


def test_frame_is_there_before_the_body_is() -> None:
    data = head(HOST, LENGTH)
    found = frame(data)
    assert found
    assert (found.body_at, found.end) == (len(data), len(data) + 17)


@pytest.mark.parametrize("cut", range(len(head(HOST, LENGTH))))
def test_part_of_a_head_has_no_frame(cut: int) -> None:
    assert frame(head(HOST, LENGTH)[:cut]) is None


def test_heads_that_differ_in_their_length_only_are_the_same() -> None:
    first, second = frame(head(HOST, b"Content-Length: 1", TYPE)), frame(head(HOST, b"Content-Length: 23456", TYPE))
    assert first
    assert second
    assert first.head == second.head


def test_length_in_the_body_is_not_the_heads() -> None:
    assert frame(head(HOST) + b"\r\nContent-Length: 5\r\n\r\nhello") is None


@pytest.mark.parametrize(("spare", "is_plain"), [(0, True), (-1, False)])
def test_head_of_more_than_sixteen_kibibytes_is_left_to_others(spare: int, is_plain: bool) -> None:
    missing = MAX_HEAD_BYTES - spare - len(head(HOST, LENGTH, b"X-A: "))
    assert (plain(head(HOST, LENGTH, b"X-A: " + b"a" * missing)) is not None) is is_plain


# ---- the same as aiohttp


def fields_by_aiohttp(message: RawRequestMessage) -> Fields:
    return [(name.lower(), value) for name, value in message.headers.items() if name.lower() != "content-length"]


def agrees(data: bytes) -> None:
    """What is plain is what aiohttp reads, and nothing that aiohttp refuses."""
    found = plain(data)
    if found is None:
        return
    framed = frame(data)
    assert framed
    message = seen_by_aiohttp(data[: framed.end])
    assert message is not None, "aiohttp refuses it"
    assert (message.method, message.path, message.version) == ("POST", found.path, (1, 1))
    assert [(name.lower(), value) for name, value in found.fields] == fields_by_aiohttp(message)
    assert int(message.headers["Content-Length"]) == framed.end - framed.body_at
    assert (message.should_close, message.chunked, message.upgrade, message.compression) == (False, False, False, None)


names = st.sampled_from(
    [
        b"X-A",
        b"x-a",
        b"Host",
        b"host",
        b"Content-Length",
        b"content-length",
        b"CONTENT-LENGTH",
        b"Content-Type",
        b"Content-Encoding",
        b"Content-Location",
        b"Content-Range",
        b"Connection",
        b"Proxy-Connection",
        b"Keep-Alive",
        b"Transfer-Encoding",
        b"TE",
        b"Trailer",
        b"Upgrade",
        b"Expect",
        b"ETag",
        b"Max-Forwards",
        b"Server",
        b"User-Agent",
        b"Cookie",
        b"Authorization",
        b"Sec-WebSocket-Key1",
        b"X A",
        b"",
    ]
) | st.binary(min_size=1, max_size=8)
values = (
    st.sampled_from(
        [b"", b"1", b"17", b"0", b"p", b"keep-alive", b"close", b"chunked", b"identity", b"gzip", b"application/json"]
    )
    | st.text(alphabet=st.characters(min_codepoint=1, max_codepoint=0x2FF), max_size=12).map(str.encode)
    | st.binary(max_size=12)
)
spaces = st.sampled_from([b"", b" ", b"  ", b"\t", b" \t "])
lines = st.builds(
    lambda name, before, value, after: name + b":" + before + value + after, names, spaces, values, spaces
)
ends = st.sampled_from([b"\r\n"] * 8 + [b"\n", b"\r\n ", b"\r"])


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """A plain head, and anything among its lines."""
    found = [HOST, LENGTH] if draw(st.integers(0, 9)) else []
    for line in draw(st.lists(lines, max_size=6)):
        found.insert(draw(st.integers(0, len(found))), line)
    return START + b"".join(draw(ends) + line for line in found) + b"\r\n\r\n"


def spoiled(data: bytes) -> Iterator[bytes]:
    """Every way to spoil one byte with one that matters."""
    for index in range(len(data)):
        yield data[:index] + data[index + 1 :]
        for byte in (b"\r", b"\n", b" ", b":", b"\0", b"0"):
            yield data[:index] + byte + data[index:]


@given(heads())
@example(head(HOST, LENGTH, b"User-Agent: a", b"User-Agent: b"))
@example(head(HOST, LENGTH, b"Sec-WebSocket-Key1: x"))
@example(head(HOST, LENGTH, *[b"X-A: 1"] * 200))
def test_what_is_plain_is_read_as_aiohttp_reads_it(data: bytes) -> None:
    agrees(data + BODY)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["least", "capitals", "length first"])
def test_plain_head_with_any_byte_spoiled_is_read_as_aiohttp_reads_it(name: str) -> None:
    for data in spoiled(head(*PLAIN[name]) + BODY):
        agrees(data)


# ---- whole requests

WHOLE = {
    "no body": head(HOST, start=b"GET /v1/models HTTP/1.1"),
    "body": head(HOST, LENGTH) + BODY,
    "length in capitals": head(HOST, b"CONTENT-LENGTH:\t17 ") + BODY,
    "empty body": head(HOST, b"Content-Length: 0"),
    "query": head(HOST, start=b"GET /v1/models?a=1 HTTP/1.1"),
}

NOT_FOR_CERTAIN = {
    "nothing": b"",
    "half a head": b"GET /v1/models HTTP/1.1\r\nHost: p\r\n",
    "half a body": head(HOST, LENGTH) + BODY[:-1],
    "more than one": head(HOST, LENGTH) + BODY + b"P",
    "two": head(HOST, start=b"GET /v1/models HTTP/1.1") * 2,
    "two lengths": head(HOST, LENGTH, LENGTH) + BODY,
    "length that is none": head(HOST, b"Content-Length: x") + BODY,
    "chunks": head(HOST, b"transfer-encoding : chunked") + b"0\r\n\r\n",
    "connection": head(HOST, b"Connection: close"),
    "upgrade": head(HOST, b"Upgrade: websocket"),
    "invitation": head(HOST, b"Expect: 100-continue", LENGTH) + BODY,
    "HTTP/1.0": head(HOST, start=b"GET / HTTP/1.0"),
    "no fields": b"GET / HTTP/1.1\r\n\r\n",
    "tunnel": head(HOST, start=b"CONNECT p:443 HTTP/1.1"),
    "line feed alone": b"GET / HTTP/1.1\nHost: p\r\n\r\n",
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_request_is_known_to_be_one(name: str) -> None:
    assert is_whole(WHOLE[name])


@pytest.mark.parametrize("name", NOT_FOR_CERTAIN)
def test_what_may_be_more_or_less_than_one_request_is_not_taken_for_one(name: str) -> None:
    assert not is_whole(NOT_FOR_CERTAIN[name])


@given(heads(), st.sampled_from([b"", BODY, BODY + b"x", BODY[:5], b"0\r\n\r\n"]))
def test_whole_request_is_one_for_aiohttp_too(data: bytes, body: bytes) -> None:
    if not is_whole(data + body):
        return
    try:
        messages, is_upgraded, rest = parser().feed_data(data + body)
    except HttpProcessingError:
        return  # it is refused, and its connection closed
    assert (len(messages), is_upgraded, rest) == (1, False, b"")
    assert messages[0][1].is_eof()
    assert not messages[0][0].should_close
