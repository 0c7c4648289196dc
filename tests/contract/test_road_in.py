"""Whatever a client sends, and however its bytes come: the fast lane and aiohttp answer the same, and ask the same."""

import hashlib
from collections.abc import AsyncIterator
from typing import NoReturn

import pytest

from proxy.wire.peek import Peek, peek
from tests.contract.ways_in import CHAT, GOOD, PLAIN, STREAMED, Way, Ways, alone, both_ways
from tests.fakes.behaviour import Behaviour
from tests.integration.raw import request

MODELS = request("GET", "/v1/models")
CHUNKED = request("POST", CHAT, content_type="application/json", transfer_encoding="chunked")
IN_CHUNKS = CHUNKED + b"a\r\n" + GOOD[:10] + b"\r\n%x\r\n" % (len(GOOD) - 10) + GOOD[10:] + b"\r\n0\r\n\r\n"


def head(*lines: bytes, start: bytes = b"POST /v1/chat/completions HTTP/1.1") -> bytes:
    return b"\r\n".join([start, *lines]) + b"\r\n\r\n"


def written(*lines: bytes) -> bytes:
    """A request whose head has just these lines, and Content-Length."""
    return head(*lines, b"Content-Length: %d" % len(GOOD)) + GOOD


@pytest.fixture(autouse=True)
def lingers_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection whose request was not read to its end is read for a while before it closes."""
    monkeypatch.setattr("proxy.app._LINGER_SECONDS", 0.05)


@pytest.fixture
async def ways() -> AsyncIterator[Ways]:
    async with both_ways(alone) as ways:
        yield ways


ANSWERED = {
    "JSON": PLAIN,
    "stream": request("POST", CHAT, STREAMED),
    "legacy completion": request("POST", "/v1/completions", b'{"model":"m","prompt":"a"}'),
    "legacy stream": request("POST", "/v1/completions", b'{"model":"m","prompt":"a","stream":true}'),
    "embeddings": request("POST", "/v1/embeddings", b'{"model":"m","input":["a","b"]}'),
    "list of models": MODELS,
    "path that is passed on": request("POST", "/v1/files", b"0123", content_type="text/plain"),
    "query": request("POST", f"{CHAT}?api-version=1", GOOD),
    "escaped path": request("POST", "/v1/chat%2Fcompletions", GOOD),
    "absolute target": request("POST", f"http://proxy{CHAT}", GOOD),
    "chunked body": IN_CHUNKS,
    "chunked body with trailers": IN_CHUNKS[:-2] + b"X-Sum: 1\r\n\r\n",
    "odd case of names": written(b"HOST: p", b"cOnTeNt-TyPe: application/json"),
    "length in capitals": head(b"Host: p", b"CONTENT-LENGTH: %d" % len(GOOD)) + GOOD,
    "length with zeros": head(b"Host: p", b"Content-Length: 00%d" % len(GOOD)) + GOOD,
    "length first": head(b"Content-Length: %d" % len(GOOD), b"Host: p") + GOOD,
    "spaces around values": written(b"Host:p", b"X-A: \t b c \t ", b"X-Empty:", b"Content-Type:application/json ;q"),
    "spaces around the length": head(b"Host: p", b"Content-Length: \t%d " % len(GOOD)) + GOOD,
    "no content type": written(b"Host: p"),
    "content type of another JSON": written(b"Host: p", b"Content-Type: application/vnd.api+json"),
    "content type in capitals": written(b"Host: p", b"Content-Type: APPLICATION/JSON; charset=UTF-8"),
    "content type without a value": written(b"Host: p", b"Content-Type:"),
    "identity": written(b"Host: p", b"Content-Encoding: identity"),
    "host without a value": written(b"Host:"),
    "repeated fields": written(b"Host: p", b"X-A: 1", b"x-a: 2", b"Cookie: a=1", b"Cookie: b=2"),
    "fields in UTF-8 and worse": written(b"Host: p", b"X-A: \xc3\xa9\xff"),
    "fields for one hop": written(b"Host: p", b"TE: trailers", b"Keep-Alive: timeout=5", b"Proxy-Connection: x"),
    "keep-alive": request("POST", CHAT, GOOD, connection="keep-alive"),
    "keep-alive in capitals": request("POST", CHAT, GOOD, connection="Keep-Alive"),
    "nominated fields": request("POST", CHAT, GOOD, connection="keep-alive, x-hop", x_hop="1"),
    "patience of the client": request("POST", CHAT, GOOD, x_stainless_read_timeout="600"),
    "upgrade that nobody takes": request("POST", CHAT, GOOD, connection="upgrade", upgrade="h2c"),
    "request id of the client": request("POST", CHAT, GOOD, x_request_id="trace-7"),
    "unfit request id": request("POST", CHAT, GOOD, x_request_id="a b"),
    "head of 15 KiB": request("POST", CHAT, GOOD, authorization="Bearer k", x_a="a" * 15_000),
    "head of 31 KiB": request("POST", CHAT, GOOD, x_a="a" * 31_000),
    "head of many fields": written(b"Host: p", *[b"X-%d: 1" % number for number in range(120)]),
    "empty line before it": b"\r\n" + PLAIN,
    "body of the largest size": request("POST", CHAT, GOOD + b" " * (2**16 - len(GOOD))),
}

REFUSED = {
    "body that is no JSON": request("POST", CHAT, b"{"),
    "empty body": request("POST", CHAT, content_type="application/json", content_length="0"),
    "no body": request("POST", CHAT),
    "no model": request("POST", CHAT, b"{}"),
    "odd stream flag": request("POST", CHAT, b'{"model":"m","stream":1}'),
    "wrong method": request("PUT", "/v1/embeddings", b"{}"),
    "unknown path": request("POST", "/v2/chat/completions", GOOD),
    "lower case method": head(b"Host: p", b"Content-Length: 0", start=b"post /v1/chat/completions HTTP/1.1"),
    "wrong content type": request("POST", CHAT, GOOD, content_type="text/plain"),
    "compressed body": request("POST", CHAT, GOOD, content_encoding="gzip"),
    "compressed body, says the first": written(b"Host: p", b"Content-Encoding: gzip", b"Content-Encoding: identity"),
    "no host": written(b"X-A: 1"),
    "two hosts": written(b"Host: p", b"Host: p"),
    "two content types": written(b"Host: p", b"Content-Type: application/json", b"Content-Type: text/plain"),
    "two user agents": written(b"Host: p", b"User-Agent: a", b"User-Agent: b"),
    "two lengths": written(b"Host: p", b"Content-Length: %d" % len(GOOD)),
    "two lengths that differ": written(b"Host: p", b"Content-Length: 1"),
    "length that is none": head(b"Host: p", b"Content-Length: 6x") + GOOD,
    "length with a sign": head(b"Host: p", b"Content-Length: +62") + GOOD,
    "length and chunks": written(b"Host: p", b"Transfer-Encoding: chunked"),
    "unknown coding": head(b"Host: p", b"Transfer-Encoding: gzip") + GOOD,
    "space in a name": written(b"Host: p", b"X A: b"),
    "space behind a name": written(b"Host: p", b"X-A : b"),
    "folded field": written(b"Host: p", b"X-A: b", b" c"),
    "field without a name": written(b"Host: p", b": b"),
    "control character in a value": written(b"Host: p", b"X-A: \x01"),
    "NUL in a value": written(b"Host: p", b"X-A: \0"),
    "line feed alone": written(b"Host: p\nX-A: b"),
    "carriage return alone": written(b"Host: p", b"X-A: b\rc"),
    "key of an old websocket": written(b"Host: p", b"Sec-WebSocket-Key1: x"),
    "head of 40 KiB": request("POST", CHAT, GOOD, x_a="a" * 40_000),
    "head of too many fields": written(b"Host: p", *[b"X-%d: 1" % number for number in range(200)]),
    "another version": head(b"Host: p", b"Content-Length: 0", start=b"POST /v1/chat/completions HTTP/1.7"),
    "version 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "two spaces": head(b"Host: p", b"Content-Length: 0", start=b"POST  /v1/chat/completions HTTP/1.1"),
    "no HTTP": b"hello\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "tunnel": b"CONNECT p:443 HTTP/1.1\r\nHost: p:443\r\n\r\n",
    "body too large": request("POST", CHAT, GOOD + b" " * 2**16),
    "body declared too large": request("POST", CHAT, content_type="application/json", content_length="10000000"),
    "length of twenty digits": head(b"Host: p", b"Content-Length: 99999999999999999999"),
}

CLOSING = {
    "close": request("POST", CHAT, GOOD, connection="close"),
    "close and keep": request("POST", CHAT, GOOD, connection="close, keep-alive"),
    "stream and close": request("POST", CHAT, STREAMED, connection="close"),
    "HTTP/1.0": PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "HTTP/1.0 without a host": PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"host: proxy\r\n", b""),
    "HTTP/1.0, kept": request("POST", CHAT, GOOD, connection="keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0"),
    "HTTP/1.0, stream": request("POST", CHAT, STREAMED).replace(b"HTTP/1.1", b"HTTP/1.0"),
    "HTTP/1.0, refused": request("POST", CHAT, b"{").replace(b"HTTP/1.1", b"HTTP/1.0"),
}


@pytest.mark.parametrize("name", ANSWERED)
async def test_request_that_is_answered_is_answered_the_same(name: str, ways: Ways) -> None:
    by_lane, by_aiohttp = await ways.play(ANSWERED[name])
    assert by_lane == by_aiohttp
    assert (by_lane.statuses, by_lane.is_open) == ((200,), True)


@pytest.mark.parametrize("name", REFUSED)
async def test_request_that_is_refused_is_refused_the_same(name: str, ways: Ways) -> None:
    by_lane, by_aiohttp = await ways.play(REFUSED[name])
    assert by_lane == by_aiohttp
    assert by_lane.answers[0].status >= 400


@pytest.mark.parametrize("name", CLOSING)
async def test_connection_that_is_to_close_closes_the_same(name: str, ways: Ways) -> None:
    by_lane, by_aiohttp = await ways.play(CLOSING[name])
    assert by_lane == by_aiohttp
    assert (len(by_lane.answers), by_lane.is_open) == (1, False)


SILENT = {
    Behaviour.HANG,
    Behaviour.HEADERS_THEN_HANG,
    Behaviour.ROLE_THEN_HANG,
    Behaviour.COMMENTS_ONLY,
    Behaviour.STALL,
}


def impatient(base_url: str) -> str:
    return (
        alone(base_url)
        .replace("api_key:", "timeouts: {first_content: 100ms, stall: 100ms}, api_key:")
        .replace("deadline: 5s", "deadline: 200ms")
    )


@pytest.mark.slow
@pytest.mark.parametrize("behaviour", Behaviour)
async def test_upstream_that_fails_is_answered_the_same(behaviour: Behaviour) -> None:
    # Limits only where they are what ends it: beside a busy process an error may take longer than 100 ms to arrive.
    async with both_ways(impatient if behaviour in SILENT else alone) as ways:
        for upstream in ways.upstreams():
            upstream.behaviour = behaviour
            upstream.delay_seconds = upstream.token_gap_seconds = 0.01
        for body in (GOOD, STREAMED):
            by_lane, by_aiohttp = await ways.play(request("POST", CHAT, body))
            assert by_lane == by_aiohttp
            assert len(by_lane.answers) == 1


async def test_client_with_an_unknown_key_is_refused_the_same() -> None:
    digest = hashlib.sha256(b"sk-billing").hexdigest()

    def known(base_url: str) -> str:
        return f"{alone(base_url)}clients: [{{name: billing, key_sha256: {digest}}}]\n"

    asked = [request("POST", CHAT, GOOD, authorization=f"Bearer {key}") for key in ("sk-billing", "sk-other")]
    async with both_ways(known) as ways:
        by_lane, by_aiohttp = await ways.play(*asked, *asked, answers=4)
    assert by_lane == by_aiohttp
    assert by_lane.statuses == (200, 401, 200, 401)


# ---- how the bytes come


async def test_plain_requests_do_not_reach_aiohttp(ways: Ways) -> None:
    await ways.lane.play([PLAIN, request("POST", CHAT, STREAMED), PLAIN[:-5], PLAIN[-5:], PLAIN + PLAIN], 5)
    assert ways.lane.by_aiohttp == 1  # what asks whether the connection is still open


@pytest.mark.slow
@pytest.mark.parametrize("asked", [PLAIN, request("POST", CHAT, STREAMED)], ids=["JSON", "stream"])
async def test_every_split_in_two_is_answered_the_same(asked: bytes, ways: Ways) -> None:
    expected = await ways.aiohttp.play([asked])
    cuts = [*range(1, len(asked) - len(GOOD) + 8), *range(len(asked) - 4, len(asked))]
    seen = {cut: await ways.lane.play([asked[:cut], asked[cut:]]) for cut in cuts}
    assert {cut: found for cut, found in seen.items() if found != expected} == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["JSON", "stream", "chunked body", "keep-alive in capitals", "query"])
async def test_byte_by_byte_is_answered_the_same(name: str, ways: Ways) -> None:
    asked = ANSWERED[name]
    pieces = [asked[index : index + 1] for index in range(len(asked))]
    assert await ways.lane.play(pieces) == await ways.aiohttp.play([asked])


@pytest.mark.slow
@pytest.mark.parametrize("first", ["plain", "odd"])
async def test_every_split_of_two_requests_is_answered_the_same(first: str, ways: Ways) -> None:
    asked = PLAIN + IN_CHUNKS if first == "plain" else IN_CHUNKS + PLAIN
    expected = await ways.aiohttp.play([asked], 2)
    seen = {cut: await ways.lane.play([asked[:cut], asked[cut:]], 2) for cut in range(3, len(asked), 7)}
    assert {cut: found for cut, found in seen.items() if found != expected} == {}


PIPELINES = {
    "three plain ones": [PLAIN] * 3,
    "two streams": [request("POST", CHAT, STREAMED)] * 2,
    "a plain one behind an odd one": [IN_CHUNKS, PLAIN],
    "an odd one behind a plain one": [PLAIN, IN_CHUNKS],
    "a plain one between odd ones": [IN_CHUNKS, PLAIN, IN_CHUNKS],
    "an odd one between plain ones": [PLAIN, IN_CHUNKS, PLAIN],
    "a plain one behind a list": [MODELS, PLAIN],
    "a list behind a plain one": [PLAIN, MODELS],
    "a refused one first": [request("POST", CHAT, b"{"), PLAIN],
    "a refused one last": [PLAIN, request("POST", CHAT, b"{")],
    "refused ones": [request("POST", CHAT, b"{")] * 3,
    "the last one closes": [PLAIN, request("POST", CHAT, GOOD, connection="close")],
    "the first one closes": [request("POST", CHAT, GOOD, connection="close"), PLAIN],
    "two of which the first is asked for its rest": [PLAIN, CHUNKED],
    "a tunnel and a plain one": [REFUSED["tunnel"], PLAIN],
    "three lists and a plain one": [MODELS] * 3 + [PLAIN],
    "ten plain ones": [PLAIN] * 10,
}


@pytest.mark.parametrize("is_at_once", [True, False], ids=["at once", "one by one"])
@pytest.mark.parametrize("name", PIPELINES)
async def test_requests_that_do_not_wait_are_answered_the_same(name: str, is_at_once: bool, ways: Ways) -> None:
    requests = PIPELINES[name]
    pieces = [b"".join(requests)] if is_at_once else requests
    answers = len(requests) - (CHUNKED in requests)
    by_lane, by_aiohttp = await ways.play(*pieces, answers=answers)
    assert (by_lane.answers, by_lane.asked) == (by_aiohttp.answers, by_aiohttp.asked)
    assert by_lane.answers


async def test_plain_request_with_nonsense_behind_it_is_answered_before_the_nonsense_is_refused(ways: Ways) -> None:
    by_lane = await ways.lane.play([PLAIN + b"hello\r\n\r\n"], 2)
    assert (by_lane.statuses, by_lane.is_open) == ((200, 400), False)


# ---- mistakes of ours


def mistaken(*_: object, **__: object) -> NoReturn:
    raise RuntimeError("a mistake")


def told(way: Way, name: str) -> dict[tuple[str, ...], float]:
    """A counter, by its labels."""
    return way.hotspare.snapshot().counters.get(name, {})


MISTAKES = {
    "body": "proxy.server.relay.peek",
    "route": "proxy.core.candidates.Router.plan",
    "opening": "proxy.server.relay.Opening",
    "drive": "proxy.server.relay.Drive",
    "first step": "proxy.core.failover.Opening.begin",
    "permit": "proxy.upstreams.pool.Pool.acquire",
}


@pytest.mark.parametrize("body", [GOOD, STREAMED], ids=["JSON", "stream"])
@pytest.mark.parametrize("name", MISTAKES)
async def test_mistake_of_ours_is_answered_and_told_the_same(
    name: str, body: bytes, ways: Ways, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MISTAKES[name], mistaken)
    by_lane, by_aiohttp = await ways.play(request("POST", CHAT, body))
    assert by_lane == by_aiohttp
    assert (by_lane.statuses, by_lane.is_open, b'"proxy_fault"' in by_lane.answers[0].body) == ((500,), True, True)
    for way in (ways.lane, ways.aiohttp):
        assert told(way, "hotspare_faults") == {("request",): 1}
        assert told(way, "hotspare_requests") == {("chat/completions", "fault", "none"): 1}
        assert way.hotspare._in_flight.count == 0


async def test_mistake_of_ours_in_reading_a_head_is_answered_the_same(
    ways: Ways, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.server.relay.Relay.asked", mistaken)
    by_lane, by_aiohttp = await ways.play(PLAIN, PLAIN, answers=2)
    assert by_lane == by_aiohttp
    assert by_lane.statuses == (500, 500)


@pytest.mark.parametrize("name", ["proxy.server.lane.frame", "proxy.server.lane.read"])
async def test_request_that_only_the_lane_fails_to_read_is_answered_by_aiohttp(
    name: str, ways: Ways, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(name, mistaken)
    by_lane, by_aiohttp = await ways.play(PLAIN)
    assert by_lane == by_aiohttp
    assert (by_lane.statuses, told(ways.lane, "hotspare_faults")[("lane",)] > 0) == ((200,), True)


async def test_mistake_of_ours_in_one_request_leaves_those_behind_it_alone(
    ways: Ways, monkeypatch: pytest.MonkeyPatch
) -> None:
    def peek_at_one(body: bytes) -> Peek:
        if body == STREAMED:
            raise RuntimeError("a mistake")
        return peek(body)

    monkeypatch.setattr("proxy.server.relay.peek", peek_at_one)
    seen = await ways.lane.play([PLAIN + request("POST", CHAT, STREAMED) + PLAIN], 3)
    assert (seen.statuses, seen.is_open, ways.lane.hotspare._in_flight.count) == ((200, 500, 200), True, 0)


async def test_mistake_of_ours_in_the_answer_to_a_mistake_leaves_nothing_behind(
    ways: Ways, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.server.relay.peek", mistaken)
    monkeypatch.setattr("proxy.server.middleware.error_answer", mistaken)
    seen = await ways.lane.play([PLAIN])
    assert (seen.statuses, seen.is_open, ways.lane.hotspare._in_flight.count) == ((), False, 0)
