"""What takes its time: bodies that wait, clients that leave or do not read, connections that are kept."""

from collections import deque
from collections.abc import AsyncIterator

import pytest

from tests.contract.origin import Script, Step
from tests.contract.ways_in import CHAT, GOOD, PLAIN, STREAMED, Seen, Way, Ways, alone, both_ways, over_both
from tests.fakes.behaviour import Behaviour
from tests.integration.raw import connected, request

ANSWER = b'{"id":"x","object":"chat.completion","choices":[{"message":{"content":"Hi"}}]}'
EVENTS = (
    b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":null}]}\n\n',
    b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n',
    b"data: [DONE]\n\n",
)
OK = b"HTTP/1.1 200 OK\r\n"
JSON = OK + b"Content-Type: application/json\r\n"
EVENT_STREAM = OK + b"Content-Type: text/event-stream\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
WAITING = request("POST", CHAT, content_type="application/json", content_length=str(len(GOOD)), expect="100-continue")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.fixture(autouse=True)
def lingers_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection whose request was not read to its end is read for a while before it closes."""
    monkeypatch.setattr("proxy.app._LINGER_SECONDS", 0.05)


@pytest.fixture
async def ways() -> AsyncIterator[Ways]:
    async with both_ways(alone) as ways:
        yield ways


# ---- one request after the other


async def in_turn(way: Way, *requests: bytes) -> list[int]:
    """The statuses of the answers on one connection, each waited for."""
    async with connected(way.base_url) as connection:
        return [(await connection.ask(each)).status for each in requests]


async def test_connection_carries_one_request_after_the_other(ways: Ways) -> None:
    streamed, lists = request("POST", CHAT, STREAMED), request("GET", "/v1/models")
    requests = [PLAIN, streamed, lists, PLAIN, request("POST", CHAT, b"{"), streamed, lists, lists, PLAIN]
    by_lane = await in_turn(ways.lane, *requests)
    assert by_lane == await in_turn(ways.aiohttp, *requests)
    assert by_lane == [200, 200, 200, 200, 400, 200, 200, 200, 200]
    assert ways.lane.by_aiohttp == 3  # the lists: the lane has the connection back after each


async def test_body_that_waits_to_be_invited_is_invited_the_same(ways: Ways) -> None:
    by_lane, by_aiohttp = await ways.play(WAITING, GOOD, answers=2)
    assert by_lane == by_aiohttp
    assert by_lane.statuses == (100, 200)


@pytest.mark.slow
@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(request("POST", CHAT, content_length="100") + b'{"mod', id="half a body"),
        pytest.param(request("POST", CHAT, content_length="100"), id="no body"),
        pytest.param(request("POST", CHAT, transfer_encoding="chunked") + b"5\r\n", id="half a chunk"),
        pytest.param(WAITING, id="no body, invited"),
    ],
)
async def test_body_that_never_comes_is_not_waited_for(asked: bytes, ways: Ways) -> None:
    answers = 2 if asked is WAITING else 1
    by_lane, by_aiohttp = await ways.play(asked, answers=answers)
    assert by_lane.answers == by_aiohttp.answers
    assert by_lane.statuses[-1] == 408


async def test_client_that_was_not_waited_for_finds_its_connection_closed(ways: Ways) -> None:
    async with connected(ways.lane.base_url) as connection:
        answer = await connection.ask(request("POST", CHAT, content_length="100") + b'{"mod')
        assert answer.header("connection") == "close"
        assert await connection.is_closed_by_peer()


@pytest.mark.parametrize("body", [GOOD, STREAMED], ids=["JSON", "stream"])
async def test_client_that_half_closes_is_seen_the_same(body: bytes, ways: Ways) -> None:
    for upstream in ways.upstreams():
        upstream.behaviour = Behaviour.SLOW_FIRST
        upstream.delay_seconds = 0.02
    by_lane, by_aiohttp = await ways.play(request("POST", CHAT, body), is_half_closed=True)
    assert by_lane == by_aiohttp


# ---- what the upstream sends

UPSTREAMS: dict[str, Script] = {
    "length": (Step.READ, JSON + b"Content-Length: %d\r\n\r\n" % len(ANSWER) + ANSWER, Step.LEAVE),
    "chunked": (Step.READ, JSON + CHUNKED + chunk(ANSWER[:20]) + chunk(ANSWER[20:]) + b"0\r\n\r\n", Step.LEAVE),
    "until close": (Step.READ, JSON + b"\r\n" + ANSWER, Step.FIN),
    "HTTP/1.0": (Step.READ, JSON.replace(b"1.1", b"1.0") + b"\r\n" + ANSWER, Step.FIN),
    "slowly": (Step.READ, JSON, Step.TURN, CHUNKED, Step.TURN, chunk(ANSWER), Step.TURN, b"0\r\n\r\n", Step.LEAVE),
    "before it has read": (Step.READ_HEAD, JSON + b"Content-Length: %d\r\n\r\n" % len(ANSWER) + ANSWER, Step.LEAVE),
    "refused before it has read": (Step.READ_HEAD, b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\n{}", Step.FIN),
    "status without a name": (Step.READ, b"HTTP/1.1 499 \r\nContent-Length: 2\r\n\r\n{}", Step.LEAVE),
    "fields": (
        Step.READ,
        JSON + b"X-Request-ID: req_1\r\nset-cookie: a=1\r\nSet-Cookie: b=2\r\nVia: 1.1 x\r\nServer: y\r\n"
        b"X-A: \xc3\xa9\xff\r\n"
        b"Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nx-hotspare-upstream: forged\r\n"
        b"Content-Length: %d\r\n\r\n" % len(ANSWER) + ANSWER,
        Step.LEAVE,
    ),
    "cut": (Step.READ, JSON + b"Content-Length: 100\r\n\r\n{", Step.FIN),
    "nothing": (Step.READ, Step.FIN),
}

STREAMS: dict[str, Script] = {
    "chunked": (Step.READ, EVENT_STREAM + CHUNKED, *map(chunk, EVENTS), b"0\r\n\r\n", Step.LEAVE),
    "at once": (Step.READ, EVENT_STREAM + CHUNKED + chunk(b"".join(EVENTS)) + b"0\r\n\r\n", Step.LEAVE),
    "byte by byte": (
        Step.READ,
        EVENT_STREAM + CHUNKED,
        *(step for byte in b"".join(EVENTS) for step in (chunk(bytes([byte])), Step.TURN)),
        b"0\r\n\r\n",
        Step.LEAVE,
    ),
    "length": (Step.READ, EVENT_STREAM + b"Content-Length: %d\r\n\r\n" % sum(map(len, EVENTS)), *EVENTS, Step.LEAVE),
    "until close": (Step.READ, EVENT_STREAM + b"\r\n", *EVENTS, Step.FIN),
    "cut in an event": (Step.READ, EVENT_STREAM + CHUNKED + chunk(EVENTS[0]) + chunk(EVENTS[1][:9]), Step.FIN),
    "cut before its content": (Step.READ, EVENT_STREAM + CHUNKED + chunk(b": ping\n\n"), Step.FIN),
    "reset": (Step.READ, EVENT_STREAM + CHUNKED + chunk(EVENTS[0]), Step.TURN, Step.RESET),
}


@pytest.mark.parametrize("name", UPSTREAMS)
async def test_whole_answer_comes_out_the_same(name: str) -> None:
    by_lane, by_aiohttp = await over_both(UPSTREAMS[name], PLAIN)
    assert by_lane == by_aiohttp
    assert len(by_lane.answers) == 1


@pytest.mark.parametrize("name", STREAMS)
async def test_stream_comes_out_the_same(name: str) -> None:
    by_lane, by_aiohttp = await over_both(STREAMS[name], request("POST", CHAT, STREAMED))
    assert by_lane == by_aiohttp
    assert len(by_lane.answers) == 1


# ---- a client that does not read


LONG_WORDS = ("word" * 25_000,) * 250
"""25 MB: more than lies in the sockets of the two connections when nobody reads."""


async def until_stuck(way: Way, number: int) -> None:
    """Wait until the upstream's answer to a request does not grow any more; it is not complete then."""
    assert way.upstream
    upstream = way.upstream
    await upstream.wait_for(lambda each: len(each.sent) > number)
    sizes: deque[int] = deque(maxlen=20)
    while len(sizes) < 20 or sizes[0] < sizes[-1]:
        await in_turn(way, request("GET", "/livez"))
        sizes.append(len(upstream.sent[number].body))
        assert not upstream.sent[number].is_complete


async def read_late(way: Way) -> bytes:
    assert way.upstream
    way.upstream.words = LONG_WORDS
    async with connected(way.base_url) as connection:
        await connection.send(request("POST", CHAT, STREAMED))
        await until_stuck(way, 0)
        return (await connection.answer()).body


@pytest.mark.slow
async def test_client_that_reads_late_gets_all_of_it(ways: Ways) -> None:
    by_lane = await read_late(ways.lane)
    assert by_lane == await read_late(ways.aiohttp)
    assert (len(by_lane) > 25_000_000, by_lane.endswith(b"data: [DONE]\n\n")) == (True, True)


@pytest.mark.slow
@pytest.mark.parametrize("has_lane", [True, False])
async def test_stream_for_a_client_that_has_not_read_its_last_answer_waits_too(has_lane: bool, ways: Ways) -> None:
    way = ways.lane if has_lane else ways.aiohttp
    assert way.upstream
    way.upstream.words = LONG_WORDS
    way.upstream.dimensions = 5_000_000
    async with connected(way.base_url) as connection:
        await connection.send(request("POST", "/v1/embeddings", b'{"model":"m","input":"a"}'))
        await connection.send(request("POST", CHAT, STREAMED))
        await until_stuck(way, 1)


# ---- connections that are kept


@pytest.mark.slow
async def test_connection_is_not_closed_as_idle_while_it_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.app._KEEPALIVE_SECONDS", 0.1)
    async with both_ways(alone) as ways:
        for upstream in ways.upstreams():
            upstream.words = ("word",) * 10
            upstream.gap_seconds = 0.03
        by_lane, by_aiohttp = await ways.play(request("POST", CHAT, STREAMED), PLAIN, answers=2)
    assert by_lane == by_aiohttp
    assert by_lane.statuses == (200, 200)
    assert by_lane.answers[0].body.endswith(b"data: [DONE]\n\n")


@pytest.mark.slow
@pytest.mark.parametrize("asked", [b"", PLAIN, PLAIN[:50], request("GET", "/v1/models")])
async def test_connection_that_is_idle_is_closed(asked: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.app._KEEPALIVE_SECONDS", 0.1)
    async with both_ways(alone) as ways:
        for way in (ways.lane, ways.aiohttp):
            async with connected(way.base_url) as connection:
                await connection.send(asked)
                if asked.endswith(GOOD) or asked.startswith(b"GET"):
                    assert (await connection.answer()).status == 200
                assert await connection.is_closed_by_peer()


async def test_answer_of_a_proxy_that_is_about_to_end_is_the_last_one(ways: Ways) -> None:
    for body in (GOOD, STREAMED):
        seen: list[Seen] = []
        for way in (ways.lane, ways.aiohttp):
            way.hotspare._draining.is_on = True
            seen.append(await way.play([request("POST", CHAT, body)]))
        assert seen[0] == seen[1]
        assert (seen[0].is_open, ("connection", "close") in seen[0].answers[0].fields) == (False, True)


async def test_stream_that_runs_when_the_proxy_ends_is_finished(ways: Ways) -> None:
    for way in (ways.lane, ways.aiohttp):
        assert way.upstream
        way.upstream.gap_seconds = 0.005
        async with connected(way.base_url) as connection:
            await connection.send(request("POST", CHAT, STREAMED))
            await connection.reader.readuntil(b"Hello")
            await way.hotspare.stop()
            assert (await connection.reader.read()).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
