"""Retries are a share of the requests, and a few each second."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.core.budget import FLOOR_PER_SECOND, RETRY_SHARE, RetryBudget


def spent(budget: RetryBudget, now: float) -> int:
    """How many retries it pays for now."""
    count = 0
    while budget.spend(now):
        count += 1
    return count


def test_some_retries_are_there_from_the_beginning() -> None:
    assert spent(RetryBudget(100.0), 100.0) == int(FLOOR_PER_SECOND)


def test_floor_refills_with_time() -> None:
    budget = RetryBudget(0.0)
    spent(budget, 0.0)
    assert spent(budget, 2.0) == int(2 * FLOOR_PER_SECOND)


def test_share_of_the_requests_is_earned() -> None:
    budget = RetryBudget(0.0)
    spent(budget, 0.0)
    budget.requests += 1000
    assert spent(budget, 1.0) == int(1000 * RETRY_SHARE + FLOOR_PER_SECOND)


def test_what_is_not_used_is_not_saved_for_ever() -> None:
    assert spent(RetryBudget(0.0), 1e6) == int(10 * FLOOR_PER_SECOND)


@given(st.lists(st.tuples(st.floats(0.001, 5), st.integers(0, 200), st.integers(0, 300)), max_size=50))
def test_never_more_than_the_share_and_the_floor(steps: list[tuple[float, int, int]]) -> None:
    budget, now, paid = RetryBudget(0.0), 0.0, 0
    for seconds, requests, wanted in steps:
        now += seconds
        budget.requests += requests
        paid += sum(budget.spend(now) for _ in range(wanted))
    assert paid <= budget.requests * RETRY_SHARE + (now + 1) * FLOOR_PER_SECOND + 1e-6
