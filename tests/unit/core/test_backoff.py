"""Waits grow, stop growing, and are forgiven."""

import pytest

from proxy.core.backoff import Backoff


def test_waits_double_up_to_the_cap() -> None:
    backoff = Backoff(1, 10, 60)
    assert [backoff.wait_seconds(0) for _ in range(6)] == [1, 2, 4, 8, 10, 10]


def test_long_health_starts_afresh() -> None:
    backoff = Backoff(1, 10, 60)
    waits = [backoff.wait_seconds(healthy) for healthy in (0, 0, 60, 0)]
    assert waits == [1, 2, 1, 2]


def test_short_health_is_no_pardon() -> None:
    backoff = Backoff(1, 10, 60)
    assert [backoff.wait_seconds(59.9) for _ in range(3)] == [1, 2, 4]


def test_long_wait_is_forgiven_after_as_long_a_time_of_health() -> None:
    backoff = Backoff(1, 100, 2)
    waits = [backoff.wait_seconds(healthy) for healthy in (0, 0, 0, 3, 7, 8)]
    assert waits == [1, 2, 4, 8, 16, 32]
    assert backoff.wait_seconds(32) == 1


@pytest.mark.parametrize("healthy_seconds", [0.0, 1e9])
def test_first_wait_is_the_shortest(healthy_seconds: float) -> None:
    assert Backoff(0.2, 30, 60).wait_seconds(healthy_seconds) == 0.2
