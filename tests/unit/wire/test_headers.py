"""Which fields pass, whose keys they hold, and when an upstream wants to be asked again."""

import pytest
from multidict import CIMultiDict

from proxy.wire import headers

WALL = 1_445_412_480.0
"""Wed, 21 Oct 2015 07:28:00 GMT, the date in RFC 9110's example, in Unix seconds."""


def test_fields_of_one_connection_do_not_pass() -> None:
    hop_by_hop = [
        ("Connection", "keep-alive"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Authorization", "Basic x"),
        ("TE", "trailers"),
        ("Trailer", "Expires"),
        ("Transfer-Encoding", "chunked"),
        ("Upgrade", "h2c"),
    ]
    kept = [("Accept", "*/*"), ("Authorization", "Bearer k")]
    assert headers.end_to_end([*hop_by_hop, *kept]) == kept


def test_fields_that_connection_names_do_not_pass() -> None:
    fields = [("connection", "close, X-Trace"), ("x-trace", "1"), ("CONNECTION", " x-other "), ("X-Other", "2")]
    assert headers.end_to_end([*fields, ("X-Kept", "3")]) == [("X-Kept", "3")]


def test_repeated_fields_pass_in_order() -> None:
    fields = [("Set-Cookie", "a=1"), ("X", "y"), ("Set-Cookie", "b=2")]
    assert headers.end_to_end(fields) == fields


def test_named_fields_are_dropped_in_any_case() -> None:
    fields = [("Authorization", "Bearer k"), ("API-KEY", "k"), ("Accept", "*/*")]
    assert headers.without(fields, headers.CREDENTIALS) == [("Accept", "*/*")]


@pytest.mark.parametrize(
    ("authorization", "token"),
    [
        ("Bearer sk-1", "sk-1"),
        ("bearer  sk-1 ", "sk-1"),
        (" BEARER sk-1", "sk-1"),
        ("Basic dTpw", ""),
        ("sk-1", ""),
        ("Bearer", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_bearer_token(authorization: str | None, token: str) -> None:
    assert headers.bearer(authorization) == token


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", *map("Bearer {}".format, ("none", "EMPTY"))])
def test_no_key_worth_the_name(authorization: str | None) -> None:
    assert headers.is_placeholder(authorization)


@pytest.mark.parametrize("key", sorted(headers.PLACEHOLDER_KEYS))
def test_placeholder_is_one_in_any_case(key: str) -> None:
    assert headers.is_placeholder(f"Bearer {key.upper()}")


@pytest.mark.parametrize("authorization", ["Bearer sk-proj-1", "Bearer nonesuch", "Basic dTpw", "Basic none"])
def test_real_key_is_no_placeholder(authorization: str) -> None:
    assert not headers.is_placeholder(authorization)


@pytest.mark.parametrize("value", ["a", "req_0123:4-5.6", "9f" * 64])
def test_request_id_fit_to_be_logged(value: str) -> None:
    assert headers.is_request_id(value)


@pytest.mark.parametrize("value", ["", "a" * 129, "a b", "a\n", "a\x1b[31m", "é", "a,b", '"a"'])
def test_request_id_unfit_to_be_logged(value: str) -> None:
    assert not headers.is_request_id(value)


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"Retry-After": "120"}, 120),
        ({"retry-after": "0"}, 0),
        ({"Retry-After": " 1.5 "}, 1.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "Retry-After": "9"}, 0.25),
        ({"retry-after-ms": "soon", "Retry-After": "9"}, 9),
        ({"Retry-After": "Wed, 21 Oct 2015 07:29:30 GMT"}, 90),
        ({"Retry-After": "Wed, 21 Oct 2015 07:00:00 GMT"}, 0),
        ({"Retry-After": "Wed, 21 Oct 2015 09:29:30 +0200"}, 90),
        ({}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "1e9"}, None),
        ({"Retry-After": "1_000"}, None),
        ({"Retry-After": "9" * 400}, None),
        ({"Retry-After": "Wed, 99 Oct 2015 07:28:00 GMT"}, None),
        ({"Retry-After": "Wed, 21 Oct 99999 07:28:00 GMT"}, None),
    ],
)
def test_retry_after(fields: dict[str, str], seconds: float | None) -> None:
    assert headers.retry_after_seconds(CIMultiDict(fields), WALL) == seconds


REQUESTS, TOKENS = "x-ratelimit-reset-requests", "x-ratelimit-reset-tokens"


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({REQUESTS: "1s"}, 1),
        ({TOKENS: "6m0s"}, 360),
        ({TOKENS: "1h2m3.5s"}, 3723.5),
        ({TOKENS: "120ms"}, 0.12),
        ({TOKENS: "1m30s500ms"}, 90.5),
        ({TOKENS: " 12 "}, 12),
        ({TOKENS: "1d"}, 86_400),
        ({REQUESTS: str(int(WALL) + 30)}, 30),
        ({REQUESTS: str((int(WALL) + 30) * 1000)}, 30),
        ({REQUESTS: str(int(WALL) - 30)}, 0),
        ({REQUESTS: "1s", TOKENS: "20s"}, 20),
        ({REQUESTS: "1s", TOKENS: "20s", "x-ratelimit-remaining-requests": "0"}, 1),
        ({REQUESTS: "1s", TOKENS: "20s", "x-ratelimit-remaining-tokens": "0"}, 20),
        ({REQUESTS: "1s", TOKENS: "20s", "x-ratelimit-remaining-requests": "9"}, 20),
        ({TOKENS: "20s", "Retry-After": "3"}, 3),
        ({TOKENS: "20s", "retry-after-ms": "300"}, 0.3),
        ({TOKENS: "20s", "Retry-After": "soon"}, 20),
        ({TOKENS: "soon"}, None),
        ({TOKENS: ""}, None),
        ({TOKENS: "-1s"}, None),
        ({TOKENS: "1s " * 100}, None),
        ({TOKENS: "9" * 400}, None),
        ({}, None),
    ],
)
def test_rate_limit_says_when_it_ends(fields: dict[str, str], seconds: float | None) -> None:
    found = headers.retry_after_seconds(CIMultiDict(fields), WALL, is_rate_limited=True)
    assert found == (None if seconds is None else pytest.approx(seconds))


def test_reset_of_a_limit_that_was_not_hit_is_no_reason_to_wait() -> None:
    assert headers.retry_after_seconds(CIMultiDict({TOKENS: "6m0s"}), WALL) is None


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"x-stainless-read-timeout": "600"}, 600),
        ({"X-Stainless-Timeout": "30"}, 30),
        ({"x-stainless-read-timeout": "2.5", "x-stainless-timeout": "60"}, 2.5),
        ({"x-stainless-read-timeout": "0"}, None),
        ({"x-stainless-read-timeout": "None"}, None),
        ({"x-stainless-read-timeout": "-3"}, None),
        ({}, None),
    ],
)
def test_client_timeout(fields: dict[str, str], seconds: float | None) -> None:
    assert headers.client_timeout_seconds(CIMultiDict(fields)) == seconds
