"""Bounds on every wait."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.core.backoff import Backoff

INITIAL = 0.5
CAP = 20.0
FORGIVE = 10.0


@given(st.lists(st.floats(0, 200), min_size=1, max_size=30))
def test_every_wait_is_the_first_or_doubles_within_the_cap(healths: list[float]) -> None:
    backoff = Backoff(INITIAL, CAP, FORGIVE)
    waits = [backoff.wait_seconds(healthy) for healthy in healths]
    expected = [INITIAL]
    for healthy in healths[1:]:
        expected.append(INITIAL if healthy >= max(FORGIVE, expected[-1]) else min(expected[-1] * 2, CAP))
    assert waits == expected
    assert all(INITIAL <= wait <= CAP for wait in waits)
