"""From a base URL to a connection: TLS, unix sockets, names, and what goes wrong on the way."""

import ssl
from pathlib import Path

import pytest

from proxy.clock import SystemClock
from proxy.core.outcome import Kind
from proxy.upstreams.transport import AttemptFailed, Outgoing, Transport
from tests.contract.listener import CONNECT_SECONDS, GET, Listener
from tests.contract.origin import Script, Step, origin
from tests.unit.stand_ins import FakeClock

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
MANY: Script = (Step.READ, OK, Step.READ, OK, Step.LEAVE)
MODELS = Outgoing("GET", "/models", [], None)


async def answer_from(transport: Transport) -> bytes:
    try:
        async with await transport.send(MODELS, CONNECT_SECONDS) as exchange:
            return await exchange.read(10)
    finally:
        await transport.close()


async def kind_from(transport: Transport, connect_seconds: float = CONNECT_SECONDS) -> Kind:
    with pytest.raises(AttemptFailed) as caught:
        await transport.send(MODELS, connect_seconds)
    await transport.close()
    return caught.value.outcome.kind


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_answer_over_tls(host: str, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async with origin(MANY, tls=server_tls) as there:
        transport = Transport(f"https://{host}:{there.port}/v1", SystemClock(), ssl_context=client_tls)
        assert await answer_from(transport) == b"ok"
    assert there.alpn == "http/1.1"


async def test_tls_is_timed_apart_and_once(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async with origin(MANY, tls=server_tls) as there:
        transport = Transport(f"https://localhost:{there.port}/v1", SystemClock(), ssl_context=client_tls)
        phases = []
        for _ in range(2):
            listener = Listener()
            phases.append(transport.dispatch(GET, b"", listener, CONNECT_SECONDS).phases)
            await listener.over.wait()
        await transport.close()
    assert all(seconds is not None and seconds > 0 for seconds in (phases[0].dns, phases[0].connect, phases[0].tls))
    assert (phases[1].is_reused, phases[1].tls) == (True, None)


async def test_large_body_both_ways_over_tls(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    body = bytes(range(256)) * 8192
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with origin((Step.READ, head, body, Step.LEAVE), tls=server_tls) as there:
        transport = Transport(f"https://localhost:{there.port}/v1", SystemClock(), ssl_context=client_tls)
        async with await transport.send(Outgoing("POST", "/x", [], body), CONNECT_SECONDS) as exchange:
            assert await exchange.read(len(body)) == body
        await transport.close()
    assert there.requests[0].endswith(body)


async def test_certificate_that_nobody_vouches_for_is_refused(server_tls: ssl.SSLContext) -> None:
    async with origin(MANY, tls=server_tls) as there:
        assert await kind_from(Transport(f"https://localhost:{there.port}/v1", SystemClock())) is Kind.TLS


async def test_plain_server_where_tls_was_expected(client_tls: ssl.SSLContext) -> None:
    async with origin((b"HTTP/1.1 400 Bad Request\r\n\r\n", Step.LEAVE)) as there:
        transport = Transport(f"https://localhost:{there.port}/v1", SystemClock(), ssl_context=client_tls)
        assert await kind_from(transport) is Kind.TLS


async def test_silent_handshake_runs_into_the_connect_limit(client_tls: ssl.SSLContext) -> None:
    async with origin((Step.LEAVE,)) as there:
        transport = Transport(f"https://127.0.0.1:{there.port}/v1", SystemClock(), ssl_context=client_tls)
        assert await kind_from(transport, 0.2) is Kind.CONNECT_TIMEOUT
        await there.left.wait()


async def test_hang_up_in_the_handshake_is_no_verdict_on_tls(client_tls: ssl.SSLContext) -> None:
    async with origin((Step.RESET,)) as there:
        transport = Transport(f"https://localhost:{there.port}/v1", SystemClock(), ssl_context=client_tls)
        assert await kind_from(transport) is Kind.CONNECT


async def test_answer_over_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "model.sock")
    async with origin(MANY, path=path) as there:
        assert await answer_from(Transport(f"unix://{path}", SystemClock())) == b"ok"
    assert there.requests[0].startswith(b"GET /v1/models HTTP/1.1\r\nHost: local\r\n")


async def test_unix_socket_that_is_not_there(tmp_path: Path) -> None:
    assert await kind_from(Transport(f"unix://{tmp_path}/none.sock", SystemClock())) is Kind.CONNECT


async def test_name_that_nobody_knows() -> None:
    assert await kind_from(Transport("http://nobody.invalid/v1", SystemClock())) is Kind.DNS


async def looked_up(transport: Transport) -> bool:
    """Whether a fresh connection needed DNS."""
    dispatch = transport.dispatch(GET, b"", listener := Listener(), CONNECT_SECONDS)
    await listener.over.wait()
    assert listener.is_ended
    return dispatch.phases.dns is not None


async def test_address_is_looked_up_again_after_ten_seconds() -> None:
    clock = FakeClock()
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    async with origin((Step.READ, closing)) as there:
        transport = Transport(f"http://localhost:{there.port}/v1", clock)
        seen = []
        for seconds in (0.0, 9.9, 0.2, 0.0):
            clock.now += seconds
            seen.append(await looked_up(transport))
        await transport.close()
    assert seen == [True, False, True, False]


async def test_name_that_was_not_known_is_asked_for_again() -> None:
    transport = Transport("http://nobody.invalid/v1", FakeClock())
    for _ in range(2):
        listener = Listener()
        dispatch = transport.dispatch(GET, b"", listener, CONNECT_SECONDS)
        await listener.over.wait()
        assert listener.outcome
        assert (listener.outcome.kind, dispatch.phases.connect) == (Kind.DNS, None)
    await transport.close()
