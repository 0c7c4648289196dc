"""The callbacks of the hot path: who hears what, and when; which connection carries what."""

import asyncio

import pytest

from proxy.core.outcome import Kind, Outcome
from proxy.upstreams.transport import Transport
from proxy.wire.http1 import ResponseHead
from tests.contract.listener import CONNECT_SECONDS, GET, POST, Listener, heard, transport_to
from tests.contract.origin import Script, Step, origin

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CLOSING = b"HTTP/1.1 200 OK\r\nConnection: keep-alive, Close\r\nContent-Length: 2\r\n\r\nok"
OPEN_ENDED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
ONE: Script = (Step.READ, OK, Step.LEAVE)
MANY: Script = (Step.READ, OK) * 8


async def test_sink_hears_nothing_before_dispatch_has_returned() -> None:
    async with origin(MANY) as there:
        transport = transport_to(there.port)
        await heard(transport)
        listener = Listener()
        transport.dispatch(GET, b"", listener, CONNECT_SECONDS)
        assert listener.heard_nothing
        await listener.over.wait()
        await transport.close()
    assert (listener.statuses, listener.data, listener.is_ended) == ([200], b"ok", True)


async def test_nobody_there_is_told_later() -> None:
    async with origin(ONE) as there:
        pass
    transport = transport_to(there.port)
    listener = await heard(transport)
    await transport.close()
    assert listener.outcome == Outcome(Kind.CONNECT, detail="ConnectionRefusedError")


async def test_connection_carries_the_next_request() -> None:
    async with origin(MANY) as there:
        transport = transport_to(there.port)
        for _ in range(4):
            assert (await heard(transport)).is_ended
        await transport.close()
    assert (there.connections, len(there.requests)) == (1, 4)


async def test_sink_may_send_the_next_request_when_it_hears_the_end() -> None:
    class Eager(Listener):
        def end(self) -> None:
            transport.dispatch(GET, b"", second, CONNECT_SECONDS)
            super().end()

    async with origin(MANY) as there:
        transport = transport_to(there.port)
        second = Listener()
        transport.dispatch(GET, b"", Eager(), CONNECT_SECONDS)
        await second.over.wait()
        await transport.close()
    assert (there.connections, second.is_ended) == (1, True)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(CLOSING, id="says close"),
        pytest.param(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", id="HTTP/1.0"),
        pytest.param(OK + b"HTTP/1.1 408 Request Timeout\r\n\r\n", id="more than was asked for"),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\nbody", id="body where there is none"),
    ],
)
async def test_connection_is_not_used_again_after(answer: bytes) -> None:
    async with origin((Step.READ, answer, Step.LEAVE)) as there:
        transport = transport_to(there.port)
        assert [(await heard(transport)).is_ended for _ in range(2)] == [True, True]
        await transport.close()
    assert there.connections == 2


async def test_idle_connection_on_which_bytes_come_is_not_used() -> None:
    async with origin((Step.READ, OK, Step.TURN, b"HTTP/1.1 408 Too Slow\r\n\r\n", Step.LEAVE), ONE) as there:
        transport = transport_to(there.port)
        await heard(transport)
        await there.left.wait()
        listener = await heard(transport)
        await transport.close()
    assert (there.connections, listener.statuses) == (2, [200])


STALE: Script = (Step.READ, OK, Step.READ, Step.RESET)


@pytest.mark.parametrize("end", [Step.RESET, Step.FIN])
async def test_stale_connection_is_replaced_before_anybody_is_blamed(end: Step) -> None:
    async with origin((Step.READ, OK, Step.READ, end), ONE) as there:
        transport = transport_to(there.port)
        await heard(transport)
        listener = Listener()
        dispatch = transport.dispatch(POST % 2, b"{}", listener, CONNECT_SECONDS)
        await listener.over.wait()
        await transport.close()
    assert (listener.is_ended, there.connections, len(there.requests)) == (True, 2, 3)
    assert not dispatch.phases.is_reused


async def test_stale_connections_are_replaced_twice_at_most() -> None:
    async with origin(STALE) as there:
        transport = transport_to(there.port)
        listeners = [Listener() for _ in range(4)]
        for listener in listeners:
            transport.dispatch(GET, b"", listener, CONNECT_SECONDS)
        for listener in listeners:
            await listener.over.wait()
        listener = await heard(transport)
        await transport.close()
    assert (listener.outcome and listener.outcome.kind, there.connections, len(there.requests)) == (Kind.RESET, 4, 7)


async def test_fresh_connection_that_is_reset_is_not_asked_again() -> None:
    async with origin((Step.READ, Step.RESET)) as there:
        transport = transport_to(there.port)
        listener = await heard(transport)
        await transport.close()
    assert listener.outcome
    assert (listener.outcome.kind, there.connections) == (Kind.RESET, 1)


async def test_request_is_not_sent_again_once_a_byte_has_come() -> None:
    async with origin((Step.READ, OK, Step.READ, b"HTTP/1.1 2", Step.FIN)) as there:
        transport = transport_to(there.port)
        await heard(transport)
        listener = await heard(transport)
        await transport.close()
    assert listener.outcome
    assert (listener.outcome.kind, there.connections) == (Kind.RESET, 1)


async def test_last_in_first_out() -> None:
    hold = (Step.READ, OK, Step.READ, OK, Step.LEAVE)
    async with origin(hold) as there:
        transport = transport_to(there.port)
        first, second = Listener(), Listener()
        for listener in (first, second):
            transport.dispatch(GET, b"", listener, CONNECT_SECONDS)
        await first.over.wait()
        await second.over.wait()
        idle = list(transport._idle._since)
        dispatch = transport.dispatch(GET, b"", third := Listener(), CONNECT_SECONDS)
        assert dispatch._connection is idle[-1]
        await third.over.wait()
        await transport.close()


async def test_request_beyond_the_limit_is_refused_at_once() -> None:
    async with origin((Step.READ, OPEN_ENDED, Step.LEAVE)) as there:
        transport = transport_to(there.port, max_connections=2)
        first, second, after = Listener(), Listener(), Listener()
        dispatch = transport.dispatch(GET, b"", first, CONNECT_SECONDS)
        transport.dispatch(GET, b"", second, CONNECT_SECONDS)
        assert (await heard(transport)).outcome == Outcome(Kind.UNAVAILABLE, detail="connection limit")
        await first.begun.wait()
        dispatch.cancel()
        transport.dispatch(GET, b"", after, CONNECT_SECONDS)
        await after.begun.wait()
        await transport.close()
    assert there.connections == 3


async def test_limit_counts_connections_and_not_requests() -> None:
    async with origin(MANY) as there:
        transport = transport_to(there.port, max_connections=1)
        assert [(await heard(transport)).is_ended for _ in range(4)] == [True] * 4
        await transport.close()


async def test_cancel_cuts_the_connection_and_silences_the_sink() -> None:
    async with origin((Step.READ, OPEN_ENDED, Step.LEAVE)) as there:
        transport = transport_to(there.port)
        listener = Listener()
        dispatch = transport.dispatch(GET, b"", listener, CONNECT_SECONDS)
        await listener.begun.wait()
        dispatch.cancel()
        dispatch.cancel()
        await there.left.wait()
        await transport.close()
    assert not listener.over.is_set()


async def test_cancel_before_there_is_a_connection() -> None:
    async with origin(ONE) as there:
        transport = transport_to(there.port)
        listener = Listener()
        transport.dispatch(GET, b"", listener, CONNECT_SECONDS).cancel()
        await transport.close()
    assert (listener.heard_nothing, there.requests) == (True, [])


async def test_cancel_after_the_end_leaves_the_connection_alone() -> None:
    async with origin(MANY) as there:
        transport = transport_to(there.port)
        listener = Listener()
        dispatch = transport.dispatch(GET, b"", listener, CONNECT_SECONDS)
        await listener.over.wait()
        dispatch.cancel()
        await heard(transport)
        await transport.close()
    assert there.connections == 1


async def test_sink_may_cancel_at_the_head() -> None:
    class Impatient(Listener):
        def head(self, head: ResponseHead) -> None:
            super().head(head)
            dispatch.cancel()

    async with origin((Step.READ, OPEN_ENDED, Step.READ)) as there:
        transport = transport_to(there.port)
        listener = Impatient()
        dispatch = transport.dispatch(GET, b"", listener, CONNECT_SECONDS)
        await there.left.wait()
        await transport.close()
    assert (listener.statuses, listener.data, listener.over.is_set()) == ([200], b"", False)


async def test_phases_of_a_fresh_and_of_a_reused_connection() -> None:
    async with origin(MANY) as there:
        transport = Transport(f"http://localhost:{there.port}/v1", transport_to(there.port)._dialler._clock)
        phases = []
        for _ in range(2):
            listener = Listener()
            phases.append(transport.dispatch(GET, b"", listener, CONNECT_SECONDS).phases)
            await listener.over.wait()
        await transport.close()
    fresh, reused = phases
    assert [fresh.is_reused, fresh.tls, reused.is_reused, reused.dns, reused.connect] == [False, None, True, None, None]
    assert all(seconds is not None and seconds > 0 for seconds in (fresh.dns, fresh.connect, fresh.first_byte))
    assert reused.first_byte is not None


async def test_reader_that_pauses_makes_the_upstream_wait() -> None:
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        while sent < 100_000_000:
            writer.write(bytes(100_000))
            await writer.drain()
            sent += 100_000
        writer.close()

    async with await asyncio.start_server(flood, "127.0.0.1", 0) as server:
        transport = transport_to(server.sockets[0].getsockname()[1])
        listener = Listener()
        dispatch = transport.dispatch(GET, b"", listener, CONNECT_SECONDS)
        await listener.begun.wait()
        dispatch.pause_reading()
        sizes = [len(listener.data)]
        for _ in range(200):
            await asyncio.sleep(0)
        sizes.append(len(listener.data))
        stuck_at = sent
        dispatch.resume_reading()
        await listener.over.wait()
        await transport.close()
    assert sizes[1] - sizes[0] <= 2**18
    assert (stuck_at < 50_000_000, len(listener.data), listener.is_ended) == (True, 100_000_000, True)


async def test_close_fails_what_is_under_way() -> None:
    async with origin((Step.READ, OPEN_ENDED, Step.LEAVE)) as there:
        transport = transport_to(there.port)
        running, dialling = Listener(), Listener()
        transport.dispatch(GET, b"", running, CONNECT_SECONDS)
        await running.begun.wait()
        transport.dispatch(GET, b"", dialling, CONNECT_SECONDS)
        await transport.close()
        await running.over.wait()
        late = await heard(transport)
    assert running.outcome
    closed = Outcome(Kind.UNAVAILABLE, detail="closed")
    assert (running.outcome.kind, dialling.outcome, late.outcome) == (Kind.CUT, closed, closed)


async def test_idle_connection_holds_nothing_of_the_last_exchange() -> None:
    async with origin(MANY) as there:
        transport = transport_to(there.port)
        listener = Listener()
        dispatch = transport.dispatch(GET, b"", listener, CONNECT_SECONDS)
        await listener.over.wait()
        (connection,) = transport._idle._since
        assert (connection.receiver, dispatch._sink, dispatch._connection, dispatch._head) == (None, None, None, b"")
        await transport.close()


async def test_early_answer_is_good_and_its_connection_is_not_used_again() -> None:
    early = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno"
    async with origin((Step.READ_HEAD, early, Step.TURN, Step.LEAVE), MANY) as there:
        transport = transport_to(there.port)
        size = 64 * 2**20
        listener = await heard(transport, POST % size, bytes(size))
        assert (listener.statuses, listener.data, listener.is_ended) == ([413], b"no", True)
        assert (await heard(transport)).is_ended
        await transport.close()
    assert there.connections == 2


async def test_fault_in_a_sink_cuts_the_connection_and_is_told() -> None:
    class Faulty(Listener):
        def body(self, data: bytes) -> None:
            raise ZeroDivisionError

    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
    async with origin((Step.READ, OPEN_ENDED, Step.LEAVE)) as there:
        transport = transport_to(there.port)
        listener = Faulty()
        transport.dispatch(GET, b"", listener, CONNECT_SECONDS)
        await listener.over.wait()
        await transport.close()
    assert listener.outcome
    assert (listener.outcome.kind, [type(error) for error in told]) == (Kind.CUT, [ZeroDivisionError])
