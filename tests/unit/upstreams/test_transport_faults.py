"""Foreign exceptions are translated once; where a base URL points; how long something may take."""

import asyncio
import socket
import ssl

import pytest

from proxy.core.outcome import Kind
from proxy.upstreams.dialling import Site, kind_of
from proxy.upstreams.transport import AttemptFailed, Outgoing, Transport, bounded
from tests.unit.stand_ins import FakeClock


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (socket.gaierror(-2, "Name or service not known"), Kind.DNS),
        (UnicodeError("label empty or too long"), Kind.DNS),
        (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), Kind.TLS),
        (ssl.SSLCertVerificationError("expired"), Kind.TLS),
        (TimeoutError(), Kind.CONNECT_TIMEOUT),
        (TimeoutError(110, "Connection timed out"), Kind.CONNECT_TIMEOUT),
        (ConnectionRefusedError(111, "Connection refused"), Kind.CONNECT),
        (ConnectionResetError(104, "Connection reset by peer"), Kind.CONNECT),
        (OSError(101, "Network is unreachable"), Kind.CONNECT),
        (RuntimeError("uvloop, of an address that it does not like"), Kind.CONNECT),
    ],
    ids=lambda value: value.value if isinstance(value, Kind) else type(value).__name__,
)
def test_what_went_wrong_before_there_was_a_connection(error: BaseException, kind: Kind) -> None:
    assert kind_of(error) is kind


@pytest.mark.parametrize(
    ("base_url", "origin", "host", "prefix"),
    [
        ("https://acme.test/v1", "https://acme.test", b"acme.test", b"/v1"),
        ("https://acme.test:8443/a%2Fb/v1/", "https://acme.test:8443", b"acme.test:8443", b"/a%2Fb/v1"),
        ("http://acme.test:80", "http://acme.test", b"acme.test", b""),
        ("http://[::1]:8080/v1", "http://[::1]:8080", b"[::1]:8080", b"/v1"),
        ("http://bücher.test/v1", "http://xn--bcher-kva.test", b"xn--bcher-kva.test", b"/v1"),
        ("unix:///run/hotspare/model.sock", "unix:///run/hotspare/model.sock", b"local", b"/v1"),
    ],
)
def test_where_a_base_url_points(base_url: str, origin: str, host: bytes, prefix: bytes) -> None:
    transport = Transport(base_url, FakeClock())
    assert (transport.origin, transport.host, transport.prefix) == (origin, host, prefix)


@pytest.mark.parametrize("text", ["", "acme.test", "ftp://acme.test", "http://", "/v1"])
def test_what_is_no_base_url(text: str) -> None:
    with pytest.raises(ValueError, match="no base URL"):
        Site.of(text)


async def test_what_is_bounded_fails_with_the_kind_that_was_named() -> None:
    with pytest.raises(AttemptFailed) as caught:
        await bounded(0.0, Kind.STALL, asyncio.Event().wait())
    assert caught.value.outcome.kind is Kind.STALL


def test_printed_request_keeps_the_key_and_the_body_to_itself() -> None:
    outgoing = Outgoing("POST", "/chat/completions", [("authorization", "Bearer sk-ours")], b"a prompt")
    assert [word for word in ("sk-ours", "a prompt") if word in repr(outgoing)] == []
