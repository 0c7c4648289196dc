"""The same exchange over our road and over aiohttp's client: status, fields, body and the kind of end are the same."""

from collections.abc import Callable, Iterator

import pytest

from tests.contract.origin import Script, Step, origin
from tests.contract.roads import REFUSED, WHOLE, Aiohttp, Ours, Road, Seen

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
HUGE = b"".join(b"X-Field-%d: %s\r\n" % (number, b"v" * 6000) for number in range(10))

WHOLE_ANSWERS = {
    "length": OK + b"Content-Type: application/json\r\nContent-Length: 13\r\n\r\n{'a': 'body'}",
    "empty": OK + b"Content-Length: 0\r\n\r\n",
    "chunked": CHUNKED + b"5\r\nhello\r\nA\r\n, world...\r\n0\r\n\r\n",
    "chunked, empty": CHUNKED + b"0\r\n\r\n",
    "chunk extensions": CHUNKED + b'5;a=b;c="d"\r\nhello\r\n000;last\r\n\r\n',
    "trailers": CHUNKED + b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n",
    "chunk that looks like an end": CHUNKED + b"9\r\n\r\n0\r\n\r\nab\r\n0\r\n\r\n",
    "no content": b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n",
    "not modified": b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n",
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
    "server error": b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy",
    "unknown status": b"HTTP/1.1 599 What\r\nContent-Length: 4\r\n\r\nbusy",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    + OK
    + b"Content-Length: 2\r\n\r\nok",
    "spaces around values": OK + b"X-A: \t b c \t\r\nX-Empty:\r\nContent-Length:2\r\n\r\nok",
    "repeated fields": OK + b"Set-Cookie: a=1\r\nset-cookie: b=2\r\nContent-Length: 2\r\n\r\nok",
    "fields in UTF-8 and worse": OK + b"X-A: \xc3\xa9\xff\r\nContent-Length: 2\r\n\r\nok",
    "odd case": OK + b"cOnTeNt-LeNgTh: 2\r\n\r\nok",
}

ENDED_ANSWERS = {
    "until close": (OK + b"X-A: b\r\n\r\nall of it", Step.FIN),
    "until close, empty": (OK + b"\r\n", Step.FIN),
    "until half-close": (OK + b"\r\nall of it", Step.HALF, Step.LEAVE),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\nold", Step.FIN),
    "length cut": (OK + b"Content-Length: 10\r\n\r\nhello", Step.FIN),
    "length cut before the body": (OK + b"Content-Length: 10\r\n\r\n", Step.FIN),
    "chunked cut in a chunk": (CHUNKED + b"5\r\nhel", Step.FIN),
    "chunked cut between chunks": (CHUNKED + b"5\r\nhello\r\n", Step.FIN),
    "chunked cut before its last line": (CHUNKED + b"5\r\nhello\r\n0\r\n", Step.FIN),
    "chunked reset": (CHUNKED + b"5\r\nhello\r\n", Step.TURN, Step.RESET),
    "length reset": (OK + b"Content-Length: 10\r\n\r\nhello", Step.TURN, Step.RESET),
    "nothing": (Step.FIN,),
    "reset": (Step.RESET,),
    "part of a head": (OK + b"Content-Le", Step.FIN),
    "garbage": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", Step.LEAVE),
    "bad status": (b"HTTP/1.1 2x0 OK\r\n\r\n", Step.LEAVE),
    "bad length": (OK + b"Content-Length: -1\r\n\r\n", Step.LEAVE),
    "two lengths": (OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", Step.LEAVE),
    "space in a name": (OK + b"X A: b\r\nContent-Length: 0\r\n\r\n", Step.LEAVE),
    "NUL in a value": (OK + b"X-A: \0\r\nContent-Length: 0\r\n\r\n", Step.LEAVE),
}


async def over(road: Callable[[int], Road], script: Script, method: str = "GET") -> Seen:
    async with origin(script) as there:
        way = road(there.port)
        try:
            return await way.ask(method)
        finally:
            await way.close()


@pytest.mark.parametrize("name", WHOLE_ANSWERS)
async def test_whole_answer_is_the_same(name: str) -> None:
    script = (Step.READ, WHOLE_ANSWERS[name], Step.LEAVE)
    ours = await over(Ours, script)
    assert (ours, ours.end) == (await over(Aiohttp, script), WHOLE)


@pytest.mark.parametrize("name", ENDED_ANSWERS)
async def test_answer_that_ends_with_its_connection_is_the_same(name: str) -> None:
    script = (Step.READ, *ENDED_ANSWERS[name])
    assert await over(Ours, script) == await over(Aiohttp, script)


@pytest.mark.parametrize("fields", [b"Content-Length: 13\r\n", b"Transfer-Encoding: chunked\r\n", b""])
async def test_answer_to_head_has_no_body_whatever_its_fields_say(fields: bytes) -> None:
    script = (Step.READ, OK + fields + b"\r\n", Step.LEAVE)
    ours = await over(Ours, script, "HEAD")
    assert (ours, ours.end) == (await over(Aiohttp, script, "HEAD"), WHOLE)


async def test_head_of_sixty_kibibytes_is_the_same() -> None:
    script = (Step.READ, OK + HUGE + b"Content-Length: 2\r\n\r\nok", Step.LEAVE)
    ours = await over(Ours, script)
    assert (ours, ours.end) == (await over(Aiohttp, script), WHOLE)


async def test_head_without_end_is_refused() -> None:
    script = (Step.READ, OK + HUGE + HUGE, Step.LEAVE)
    assert await over(Ours, script) == Seen(REFUSED)


async def test_large_body_is_the_same() -> None:
    body = bytes(range(256)) * 4096
    script = (Step.READ, OK + b"Content-Length: %d\r\n\r\n" % len(body), body, Step.LEAVE)
    ours = await over(Ours, script)
    assert (ours, ours.body) == (await over(Aiohttp, script), body)


@pytest.mark.parametrize("size", [0, 1, 1000, 2**18, 2**18 + 1, 2**20])
async def test_request_arrives_the_same(size: int) -> None:
    requests: list[bytes] = []
    body = b"q" * size
    for road in (Ours, Aiohttp):
        async with origin((Step.READ, OK + b"Content-Length: 2\r\n\r\nok", Step.LEAVE)) as there:
            way = road(there.port)
            assert (await way.ask("POST", body, [("X-A", "b"), ("Authorization", "Bearer k")])).end == WHOLE
            await way.close()
            requests += [request.replace(b":%d" % there.port, b"") for request in there.requests]
    assert requests[0] == requests[1]


def splits(answer: bytes) -> Iterator[Script]:
    for cut in range(1, len(answer)):
        yield (Step.READ, answer[:cut], Step.TURN, answer[cut:])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["length", "chunked", "chunk extensions", "trailers", "interim", "no content"])
async def test_every_split_in_two_is_the_same_answer(name: str) -> None:
    answer = WHOLE_ANSWERS[name]
    expected = await over(Aiohttp, (Step.READ, answer, Step.LEAVE))
    script = [step for split in splits(answer) for step in split]
    async with origin([*script, Step.LEAVE]) as there:
        way = Ours(there.port)
        seen = {await way.ask() for _ in range(1, len(answer))}
        await way.close()
    assert (seen, there.connections) == ({expected}, 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["length", "chunked", "trailers", "interim"])
async def test_byte_by_byte_is_the_same_answer(name: str) -> None:
    answer = WHOLE_ANSWERS[name]
    script = [step for byte in answer for step in (bytes([byte]), Step.TURN)]
    assert await over(Ours, (Step.READ, *script, Step.LEAVE)) == await over(Aiohttp, (Step.READ, answer, Step.LEAVE))
