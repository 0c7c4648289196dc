"""The ring of buckets against a list of everything that happened."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.core.window import Ratio, RatioWindow

WINDOW_SECONDS = 30.0
BUCKET_SECONDS = 3.0
STEPS = st.lists(st.tuples(st.floats(0, 40), st.booleans()), max_size=60)


def replay(steps: list[tuple[float, bool]]) -> tuple[RatioWindow, list[tuple[float, bool]], float]:
    window, seen, now = RatioWindow(WINDOW_SECONDS), list[tuple[float, bool]](), 0.0
    for seconds, success in steps:
        now += seconds
        if success and len(seen) % 2:
            window.succeed(now)
        else:
            window.add(success=success, now=now)
        seen.append((now, success))
    return window, seen, now


def count(seen: list[tuple[float, bool]], since: float) -> Ratio:
    counted = [success for at, success in seen if at > since]
    return Ratio(sum(counted), len(counted))


@given(STEPS, st.floats(0, 40))
def test_window_holds_what_a_list_holds_give_or_take_the_oldest_bucket(
    steps: list[tuple[float, bool]], seconds: float
) -> None:
    window, seen, now = replay(steps)
    held = window.ratio(now + seconds)
    fewest = count(seen, now + seconds - WINDOW_SECONDS + BUCKET_SECONDS)
    most = count(seen, now + seconds - WINDOW_SECONDS - 1e-6)
    assert fewest.outcomes <= held.outcomes <= most.outcomes
    assert fewest.successes <= held.successes <= most.successes


@given(STEPS)
def test_ratio_lies_between_0_and_1_and_asking_changes_nothing(steps: list[tuple[float, bool]]) -> None:
    window, _, now = replay(steps)
    held = window.ratio(now)
    assert 0 <= held.success_ratio <= 1
    assert window.ratio(now) == held
