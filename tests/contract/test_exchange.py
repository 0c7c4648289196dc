"""The coroutines' view: uploads that stream, readers that do not read, limits."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from proxy.core.outcome import Kind, Outcome
from proxy.upstreams.exchange import BUFFER_BYTES
from proxy.upstreams.transport import AttemptFailed, Outgoing, Transport
from proxy.wire.headers import Fields
from tests.contract.listener import CONNECT_SECONDS, transport_to
from tests.contract.origin import Script, Step, origin

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ONE: Script = (Step.READ, OK, Step.LEAVE)
GET = Outgoing("GET", "/x", [], None)


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for piece in data:
        await asyncio.sleep(0)
        yield piece


def upload(body: AsyncIterator[bytes], fields: Fields | None = None) -> Outgoing:
    return Outgoing("POST", "/files", fields or [], body)


async def answer_to(transport: Transport, outgoing: Outgoing) -> tuple[int, bytes]:
    async with await transport.send(outgoing, CONNECT_SECONDS) as exchange:
        return exchange.status, await exchange.read(100)


async def failure_of(transport: Transport, outgoing: Outgoing) -> Outcome:
    with pytest.raises(AttemptFailed) as caught:
        await answer_to(transport, outgoing)
    return caught.value.outcome


async def test_upload_of_unknown_length_is_chunked() -> None:
    async with origin(ONE) as there:
        transport = transport_to(there.port)
        assert await answer_to(transport, upload(pieces(b"hello", b"", b"world"))) == (200, b"ok")
        await transport.close()
    head, _, body = there.requests[0].partition(b"\r\n\r\n")
    assert (b"Transfer-Encoding: chunked" in head, body) == (True, b"5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n")


async def test_upload_of_known_length_keeps_it() -> None:
    async with origin(ONE) as there:
        transport = transport_to(there.port)
        await answer_to(transport, upload(pieces(b"hello", b"world"), [("Content-Length", "10")]))
        await transport.close()
    head, _, body = there.requests[0].partition(b"\r\n\r\n")
    assert (head.count(b"Content-Length: 10"), b"Transfer-Encoding" in head, body) == (1, False, b"helloworld")


@pytest.mark.parametrize("body", [[b"hello"], [b"hello", b"worlds"]])
async def test_upload_that_is_not_as_long_as_it_said_fails(body: list[bytes]) -> None:
    async with origin(ONE) as there:
        transport = transport_to(there.port)
        outcome = await failure_of(transport, upload(pieces(*body), [("Content-Length", "10")]))
        await there.left.wait()
        await transport.close()
    assert (outcome, there.requests) == (Outcome(Kind.CLIENT_GONE, detail="LengthWrong"), [])


async def test_client_that_breaks_its_upload_is_not_the_upstreams_fault() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"hello"
        raise ConnectionResetError

    async with origin(ONE) as there:
        transport = transport_to(there.port)
        outcome = await failure_of(transport, upload(broken()))
        await there.left.wait()
        await transport.close()
    assert outcome == Outcome(Kind.CLIENT_GONE, detail="ConnectionResetError")


async def test_upstream_that_does_not_read_makes_the_upload_wait() -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield bytes(2**16)

    async with origin((Step.READ_HEAD, Step.DEAF)) as there:
        transport = transport_to(there.port)
        sending = asyncio.create_task(transport.send(upload(endless()), CONNECT_SECONDS))
        while not there.requests:
            await asyncio.sleep(0)
        before = -1
        while before != taken:
            before = taken
            for _ in range(50):
                await asyncio.sleep(0)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        there.enough.set()
        await transport.close()
    assert 0 < taken < 1000


async def test_early_answer_ends_the_upload() -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            yield b"hello"
            await asyncio.Event().wait()
        finally:
            closed.set()

    async with origin((Step.READ_HEAD, OK, Step.LEAVE)) as there:
        transport = transport_to(there.port)
        assert await answer_to(transport, upload(endless())) == (200, b"ok")
        await closed.wait()
        await there.left.wait()
        await transport.close()


async def test_body_that_can_be_sent_once_is_sent_once() -> None:
    async with origin((Step.READ, OK, Step.READ, Step.RESET), ONE) as there:
        transport = transport_to(there.port)
        await answer_to(transport, GET)
        outcome = await failure_of(transport, upload(pieces(b"once")))
        await transport.close()
    assert (outcome.kind, there.connections) == (Kind.RESET, 1)


async def test_reader_that_does_not_read_holds_little() -> None:
    body = bytes(50_000_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with origin((Step.READ, head, body, Step.LEAVE)) as there:
        transport = transport_to(there.port)
        async with await transport.send(GET, CONNECT_SECONDS) as exchange:
            for _ in range(200):
                await asyncio.sleep(0)
            assert exchange._inbox._size <= 2 * BUFFER_BYTES
            assert len(await exchange.read(len(body))) == len(body)
        await transport.close()


async def test_answer_larger_than_the_limit_is_bad() -> None:
    async with origin((Step.READ, b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", bytes(500), Step.LEAVE)) as there:
        transport = transport_to(there.port)
        outcome = await failure_of(transport, GET)
        await transport.close()
    assert outcome == Outcome(Kind.BAD_ANSWER, 200, detail="answer too large")


async def test_what_came_before_the_cut_is_delivered_before_it_is_told() -> None:
    cut = (Step.READ, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", Step.FIN)
    async with origin(cut) as there:
        transport = transport_to(there.port)
        async with await transport.send(GET, CONNECT_SECONDS) as exchange:
            await there.left.wait()
            chunks = exchange.chunks()
            assert await anext(chunks) == b"hello"
            with pytest.raises(AttemptFailed) as caught:
                await anext(chunks)
        await transport.close()
    assert caught.value.outcome == Outcome(Kind.CUT, 200, detail="EOF")


async def test_leaving_the_context_cuts_what_has_not_ended() -> None:
    async with origin((Step.READ, b"HTTP/1.1 200 OK\r\n\r\nhello", Step.LEAVE)) as there:
        transport = transport_to(there.port)
        async with await transport.send(GET, CONNECT_SECONDS):
            pass
        await there.left.wait()
        await transport.close()


async def test_who_is_cancelled_while_waiting_cuts_the_connection() -> None:
    async with origin((Step.READ, Step.LEAVE)) as there:
        transport = transport_to(there.port)
        sending = asyncio.create_task(transport.send(GET, CONNECT_SECONDS))
        while not there.requests:
            await asyncio.sleep(0)
        sending.cancel()
        await there.left.wait()
        assert (await asyncio.gather(sending, return_exceptions=True))[0].__class__ is asyncio.CancelledError
        await transport.close()


@pytest.mark.parametrize(
    "outgoing",
    [
        Outgoing("GET", "/x y", [], None),
        Outgoing("GET", "/x\r\nX: y", [], None),
        Outgoing("G T", "/x", [], None),
        Outgoing("GET", "/x", [("A", "b\r\nX: y")], None),
        Outgoing("GET", "/x", [("A b", "c")], None),
    ],
)
async def test_request_that_would_become_two_is_not_sent(outgoing: Outgoing) -> None:
    async with origin(ONE) as there:
        transport = transport_to(there.port)
        outcome = await failure_of(transport, outgoing)
        await transport.close()
    assert (outcome.kind, there.connections) == (Kind.BAD_ANSWER, 0)
