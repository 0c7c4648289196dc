"""How long an answer may be, as a request says it."""

import pytest

from proxy.wire.allowance import allowed_tokens


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        (b'{"model":"m","max_tokens":7}', 7),
        (b'{"model":"m","max_completion_tokens":9,"max_tokens":7}', 9),
        (b'{"model":"m","max_tokens":null}', None),
        (b'{"model":"m"}', None),
        (b'{"max_tokens":"many"}', None),
        (b'{"max_tokens":7', None),
        (b"[" * 100_000, None),
    ],
    ids=range(7),
)
def test_limit_is_read_where_it_is_said_in_a_number(body: bytes, tokens: int | None) -> None:
    assert allowed_tokens(body) == tokens
