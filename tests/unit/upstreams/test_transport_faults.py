"""Foreign exceptions are translated once. The connector fails before there is any socket."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp.client_exceptions import UnixClientConnectorError
from aiohttp.client_reqrep import ConnectionKey
from yarl import URL

from proxy.core.outcome import Kind
from proxy.upstreams.transport import AttemptFailed, Outgoing, Transport, bounded, connector_for

OUTGOING = Outgoing("POST", URL("https://acme.test/v1/chat/completions"), [], b"{}")
KEY = ConnectionKey("acme.test", 443, True, True, None, None, None)
REFUSED = ConnectionRefusedError(111, "Connection refused")


class Failing(aiohttp.BaseConnector):
    """Gives no connection, but an error each time."""

    def __init__(self, *errors: BaseException) -> None:
        super().__init__()
        self.errors = list(errors)

    async def connect(self, req: Any, traces: Any, timeout: Any) -> Any:
        raise self.errors.pop(0)


async def kind_of(*errors: BaseException, outgoing: Outgoing = OUTGOING) -> Kind:
    transport = Transport(Failing(*errors))
    try:
        with pytest.raises(AttemptFailed) as caught:
            await transport.send(outgoing, 1.0)
    finally:
        await transport.close()
    return caught.value.outcome.kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "Name or service not known")), Kind.DNS),
        (aiohttp.ClientConnectorSSLError(KEY, OSError(1, "WRONG_VERSION_NUMBER")), Kind.TLS),
        (aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError("expired")), Kind.TLS),
        (aiohttp.ConnectionTimeoutError(), Kind.CONNECT_TIMEOUT),
        (aiohttp.ClientConnectorError(KEY, REFUSED), Kind.CONNECT),
        (UnixClientConnectorError("/run/x.sock", KEY, REFUSED), Kind.CONNECT),
        (aiohttp.ServerDisconnectedError(), Kind.RESET),
        (aiohttp.ClientOSError(104, "Connection reset by peer"), Kind.RESET),
        (aiohttp.ClientPayloadError(), Kind.CUT),
        (aiohttp.InvalidURL("http://"), Kind.BAD_ANSWER),
        (TimeoutError(), Kind.CONNECT_TIMEOUT),
        (BrokenPipeError(), Kind.RESET),
    ],
    ids=lambda value: value.value if isinstance(value, Kind) else type(value).__name__,
)
async def test_what_went_wrong_before_the_head(error: BaseException, kind: Kind) -> None:
    assert await kind_of(error) is kind


async def test_cancellation_is_no_failure_of_the_upstream() -> None:
    transport = Transport(Failing(asyncio.CancelledError()))
    with pytest.raises(asyncio.CancelledError):
        await transport.send(OUTGOING, 1.0)
    await transport.close()


async def test_fresh_connection_that_is_reset_is_not_asked_again() -> None:
    assert await kind_of(aiohttp.ServerDisconnectedError()) is Kind.RESET


class StaleFirst(Failing):
    """Hands out pooled connections that turn out to be dead."""

    async def connect(self, req: Any, traces: Any, timeout: Any) -> Any:
        for trace in traces:
            await trace.send_connection_reuseconn()
        return await super().connect(req, traces, timeout)


async def stale(outgoing: Outgoing, *errors: BaseException) -> tuple[Kind, int]:
    """The kind in the end, and how many errors were left."""
    connector = StaleFirst(*errors)
    transport = Transport(connector)
    with pytest.raises(AttemptFailed) as caught:
        await transport.send(outgoing, 1.0)
    await transport.close()
    return caught.value.outcome.kind, len(connector.errors)


async def test_stale_connection_is_replaced_before_anybody_is_blamed() -> None:
    errors = [aiohttp.ServerDisconnectedError(), aiohttp.ClientOSError(), aiohttp.ClientConnectorError(KEY, REFUSED)]
    assert await stale(OUTGOING, *errors) == (Kind.CONNECT, 0)


async def test_stale_connections_are_replaced_twice_at_most() -> None:
    assert await stale(OUTGOING, *[aiohttp.ServerDisconnectedError() for _ in range(5)]) == (Kind.RESET, 2)


async def test_body_that_can_be_sent_once_is_sent_once() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"{}"

    outgoing = Outgoing("POST", OUTGOING.url, [], body())
    assert await stale(outgoing, *[aiohttp.ServerDisconnectedError() for _ in range(3)]) == (Kind.RESET, 2)


async def test_what_is_bounded_fails_with_the_kind_that_was_named() -> None:
    with pytest.raises(AttemptFailed) as caught:
        await bounded(0.0, Kind.STALL, asyncio.Event().wait())
    assert caught.value.outcome.kind is Kind.STALL


async def test_unix_socket_is_http_below_v1() -> None:
    connector, url = connector_for("unix:///run/hotspare/model.sock")
    assert isinstance(connector, aiohttp.UnixConnector)
    assert (connector.path, url) == ("/run/hotspare/model.sock", URL("http://local/v1"))
    await connector.close()


async def test_connections_are_not_limited() -> None:
    connector, _ = connector_for("https://acme.test/v1")
    assert (connector.limit, connector.limit_per_host) == (0, 0)
    await connector.close()


def test_printed_request_keeps_the_key_and_the_body_to_itself() -> None:
    outgoing = Outgoing("POST", OUTGOING.url, [("authorization", "Bearer sk-ours")], b"a prompt")
    assert [word for word in ("sk-ours", "a prompt") if word in repr(outgoing)] == []
