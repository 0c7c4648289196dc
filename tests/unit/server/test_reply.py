"""The bytes of an answer on the client's connection (RFC 9112)."""

import pytest

from proxy.server.reply import Reply
from tests.unit.stand_ins import FakeClient

LINES = b"Content-Type: application/json\r\n"


@pytest.mark.parametrize("size", [0, 2, 2**16 - 1, 2**16, 2**20])
def test_whole_answer_has_its_length(size: int) -> None:
    client = FakeClient()
    Reply(client).whole(200, LINES, b"x" * size)
    assert client.written == b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n" % (LINES, size) + b"x" * size


def test_large_body_is_not_copied() -> None:
    client = FakeClient()
    Reply(client).whole(200, LINES, b"x" * 2**16)
    assert client.writes[1:] == [b"x" * 2**16]


def test_stream_is_chunks() -> None:
    client = FakeClient()
    reply = Reply(client)
    reply.begin(200, LINES, b"first")
    reply.block(b"0123456789abcdef")
    reply.end()
    head = b"HTTP/1.1 200 OK\r\n%bTransfer-Encoding: chunked\r\n\r\n" % LINES
    assert client.writes == [head + b"5\r\nfirst\r\n", b"10\r\n0123456789abcdef\r\n", b"0\r\n\r\n"]


def test_stream_for_a_client_of_http_10_ends_with_the_connection() -> None:
    client = FakeClient()
    reply = Reply(client, is_chunked=False, closes=True)
    reply.begin(200, LINES, b"first")
    reply.block(b"second")
    reply.end()
    assert client.written == b"HTTP/1.1 200 OK\r\n%bConnection: close\r\n\r\nfirstsecond" % LINES
    assert reply.closes


@pytest.mark.parametrize("is_stream", [False, True])
def test_last_answer_of_a_connection_says_so(is_stream: bool) -> None:
    client = FakeClient()
    reply = Reply(client, closes=True)
    if is_stream:
        reply.begin(200, LINES, b"first")
    else:
        reply.whole(200, LINES, b"{}")
    assert client.written.partition(b"\r\n\r\n")[0].endswith(b"\r\nConnection: close")


def test_connection_is_kept_otherwise() -> None:
    client = FakeClient()
    reply = Reply(client)
    reply.whole(200, LINES, b"{}")
    assert (reply.closes, b"Connection" in client.written) == (False, False)


@pytest.mark.parametrize(("status", "line"), [(503, b"503 Service Unavailable"), (499, b"499 Unknown")])
def test_status_has_its_name(status: int, line: bytes) -> None:
    client = FakeClient()
    Reply(client).whole(status, b"", b"")
    assert client.written.startswith(b"HTTP/1.1 %b\r\n" % line)


def test_nothing_is_written_to_a_connection_that_is_gone() -> None:
    client = FakeClient()
    reply = Reply(client)
    client.close()
    reply.whole(200, LINES, b"x" * 2**17)
    reply.begin(200, LINES, b"first")
    reply.block(b"second")
    reply.end()
    assert client.writes == []


def test_connection_that_is_hung_up_has_sent_what_was_written() -> None:
    client = FakeClient()
    reply = Reply(client)
    reply.whole(200, LINES, b"{}")
    reply.hang_up()
    assert (client.is_closing(), client.is_aborted, client.written[-2:]) == (True, False, b"{}")


def test_stream_that_is_cut_has_no_end() -> None:
    client = FakeClient()
    reply = Reply(client)
    reply.begin(200, LINES, b"first")
    reply.cut()
    reply.end()
    assert client.is_aborted
    assert not client.written.endswith(b"0\r\n\r\n")
