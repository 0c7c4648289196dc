"""The head of an answer, where its body ends, and the head of a request."""

import pytest

from proxy.wire import http1
from proxy.wire.http1 import Body, ChunkedBody, Malformed, ResponseHead, SizedBody, body_of, parse_response_head


def head_of(*lines: bytes, status_line: bytes = b"HTTP/1.1 200 OK") -> ResponseHead:
    data = b"\r\n".join([status_line, *lines]) + b"\r\n\r\n"
    return parse_response_head(data, data.find(b"\r\n\r\n"))


def fed(body: Body, *reads: bytes) -> bytes:
    return b"".join(body.feed(read) for read in reads)


def test_pairs_are_as_received_in_order() -> None:
    head = head_of(b"Content-Type: a/b; c=d", b"set-cookie: 1", b"Set-Cookie:2", b"X-Empty:")
    pairs = [(b"Content-Type", b"a/b; c=d"), (b"set-cookie", b"1"), (b"Set-Cookie", b"2"), (b"X-Empty", b"")]
    assert (head.status, head.pairs) == (200, pairs)


@pytest.mark.parametrize("line", [b"A:b c", b"A: b c", b"A:\t b c \t", b"A:   b c "])
def test_space_around_a_value_is_no_part_of_it(line: bytes) -> None:
    assert head_of(line, b"B: d").pairs == [(b"A", b"b c"), (b"B", b"d")]


def test_get_gives_the_first_value_whatever_its_case() -> None:
    head = head_of(b"x-a: 1", b"X-A: 2")
    assert (head.get(b"x-a"), head.get(b"x-b")) == (b"1", None)


def test_fields_keep_bytes_that_are_not_utf8() -> None:
    ((_, value),) = head_of(b"A: \xc3\xa9\xff").fields
    assert value.encode("utf-8", "surrogateescape") == b"\xc3\xa9\xff"


@pytest.mark.parametrize(
    ("line", "media_type"),
    [(b"Content-Type: Text/Event-Stream; charset=x", "text/event-stream"), (b"A: b", ""), (b"CONTENT-TYPE:a/b", "a/b")],
)
def test_content_type(line: bytes, media_type: str) -> None:
    assert head_of(line).content_type == media_type


@pytest.mark.parametrize(
    ("status_line", "line", "keeps_alive"),
    [
        (b"HTTP/1.1 200 OK", b"A: b", True),
        (b"HTTP/1.1 200 OK", b"Connection: keep-alive", True),
        (b"HTTP/1.1 200 OK", b"connection: x, CLOSE", False),
        (b"HTTP/1.1 200 OK", b"X-Connection: close", True),
        (b"HTTP/1.0 200 OK", b"Connection: keep-alive", False),
    ],
)
def test_connection_is_kept(status_line: bytes, line: bytes, keeps_alive: bool) -> None:
    assert head_of(line, status_line=status_line).keeps_alive is keeps_alive


def test_close_in_a_second_connection_field_counts() -> None:
    assert not head_of(b"Connection: keep-alive", b"Connection: close").keeps_alive


@pytest.mark.parametrize(
    "line",
    [b"HTTP/1.1 200", b"HTTP/1.1 200 ", b"HTTP/1.0 599 What ever\xe9", b"HTTP/1.1 999 "],
)
def test_status_line_that_is_taken(line: bytes) -> None:
    assert head_of(status_line=line).status == int(line[9:12])


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"HTTP/2 200 OK",
        b"HTTP/1.2 200 OK",
        b"http/1.1 200 OK",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 099 OK",
        b"HTTP/1.1 200 O\0K",
        b"HTTP/1.1 200 O\rK",
        b"ICY 200 OK",
        b" HTTP/1.1 200 OK",
    ],
)
def test_status_line_that_is_refused(line: bytes) -> None:
    with pytest.raises(Malformed, match="status line"):
        head_of(b"A: b", status_line=line)


@pytest.mark.parametrize(
    "line",
    [
        b"no colon",
        b": no name",
        b"A : b",
        b"A B: c",
        b" A: folded",
        b"A: b\r\n folded: c",
        b"A\0: b",
        b"A: b\0",
        b"A: b\rc",
        b"A: b\nC: d",
        b"A: b\r\r\nC: d",
        b"\xc3\xa9: b",
        b"A(comment): b",
    ],
)
def test_field_that_is_refused(line: bytes) -> None:
    with pytest.raises(Malformed, match="header field"):
        head_of(b"X: y", line, b"Z: z")


def test_head_is_bounded() -> None:
    line = b"A: " + b"b" * (http1.MAX_HEAD_BYTES - 20)
    assert head_of(line).pairs[0][1] == line[3:]
    with pytest.raises(Malformed, match="too large"):
        head_of(line + b"b")


@pytest.mark.parametrize("data", [b"", b"H", b"HTTP/1.", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nA: b\r\n"])
def test_what_may_become_a_head_is_waited_for(data: bytes) -> None:
    http1.check_partial_head(data)


@pytest.mark.parametrize("data", [b"h", b"<html>", b"HTTP/2", b"\x15\x03\x01", b"HTTP/1.1 " + b"x" * 2**16])
def test_what_cannot_become_a_head_is_not_waited_for(data: bytes) -> None:
    with pytest.raises(Malformed):
        http1.check_partial_head(data)


@pytest.mark.parametrize(
    ("lines", "read", "payload", "is_done"),
    [
        ([b"Content-Length: 3"], b"abc", b"abc", True),
        ([b"Content-Length: 3"], b"ab", b"ab", False),
        ([b"Content-Length: 0"], b"", b"", True),
        ([b"Transfer-Encoding: Chunked"], b"1\r\na\r\n0\r\n\r\n", b"a", True),
        ([], b"abc", b"abc", False),
    ],
)
def test_body_is_framed_as_its_fields_say(lines: list[bytes], read: bytes, payload: bytes, is_done: bool) -> None:
    body = body_of(head_of(*lines), is_head_request=False)
    assert (fed(body, read), body.is_done, body.excess) == (payload, is_done, 0)


def test_only_a_body_without_framing_ends_with_the_connection() -> None:
    heads = [head_of(), head_of(b"Content-Length: 1"), head_of(b"Transfer-Encoding: chunked")]
    assert [body_of(head, is_head_request=False).ends_with_connection for head in heads] == [True, False, False]


@pytest.mark.parametrize(("status", "is_head_request"), [(200, True), (204, False), (304, False)])
@pytest.mark.parametrize("lines", [[], [b"Content-Length: 3"], [b"Transfer-Encoding: chunked"]])
def test_no_body_where_there_is_none(status: int, is_head_request: bool, lines: list[bytes]) -> None:
    head = head_of(*lines, status_line=b"HTTP/1.1 %d X" % status)
    assert body_of(head, is_head_request=is_head_request).is_done


@pytest.mark.parametrize(
    "lines",
    [
        [b"Content-Length: 3", b"Content-Length: 4"],
        [b"Content-Length: 3", b"content-length: 3"],
        [b"Content-Length: 3, 3"],
        [b"Content-Length: +3"],
        [b"Content-Length: -3"],
        [b"Content-Length: 3.0"],
        [b"Content-Length: 0x3"],
        [b"Content-Length:"],
        [b"Content-Length: 1234567890123456789"],
        [b"Content-Length: 3", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: gzip, chunked"],
        [b"Transfer-Encoding: identity"],
        [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding:"],
    ],
)
def test_body_whose_end_is_in_doubt_is_refused(lines: list[bytes]) -> None:
    with pytest.raises(Malformed):
        body_of(head_of(*lines), is_head_request=False)


def test_bytes_after_the_end_are_counted() -> None:
    sized, chunked = SizedBody(3, is_done=not 3), ChunkedBody()
    assert (fed(sized, b"ab", b"cXY"), sized.excess) == (b"abc", 2)
    assert (fed(chunked, b"1\r\na\r\n0\r\n\r\nXYZ"), chunked.is_done, chunked.excess) == (b"a", True, 3)


@pytest.mark.parametrize(
    "data",
    [
        b"1;a=b;c\r\nx\r\n0;d\r\n\r\n",
        b"01\r\nx\r\n00\r\n\r\n",
        b"1 \t\r\nx\r\n0\r\n\r\n",
        b"1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n",
    ],
)
def test_extensions_and_trailers_are_dropped(data: bytes) -> None:
    body = ChunkedBody()
    assert (fed(body, data), body.is_done, body.excess) == (b"x", True, 0)


@pytest.mark.parametrize(
    "data",
    [
        b"x\r\n",
        b"-1\r\n",
        b"0x1\r\na",
        b"1\na\r\n",
        b"1\r\nab\r\n",
        b"1\r\na\n0\r\n",
        b";a\r\n",
        b"1234567890abcdef\r\n",
        b"1;" + b"x" * 5000,
        b"1\r\na\r\n0\r\nno colon\r\n\r\n",
        b"0\r\nA: " + b"b" * http1.MAX_TRAILER_BYTES,
    ],
)
def test_chunks_that_are_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        fed(ChunkedBody(), data)
    with pytest.raises(Malformed):
        fed(ChunkedBody(), *(bytes([byte]) for byte in data))


def test_request_head() -> None:
    fields = [("A", "b"), ("X-Ünused"[:2] + "C", "\udcff é")]
    assert http1.render_request_head("POST", b"/v1/x?y", b"acme.test", fields) == (
        b"POST /v1/x?y HTTP/1.1\r\nHost: acme.test\r\nA: b\r\nX-C: \xff \xc3\xa9\r\n\r\n"
    )


def test_chunk() -> None:
    assert http1.encode_chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
