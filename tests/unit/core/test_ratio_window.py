"""What the window holds, and when it lets go."""

from proxy.core.window import Ratio, RatioWindow


def filled(*outcomes: tuple[float, bool]) -> RatioWindow:
    window = RatioWindow(30)
    for at, success in outcomes:
        window.add(success=success, now=at)
    return window


def test_empty_window_is_healthy() -> None:
    assert RatioWindow(30).ratio(0).success_ratio == 1.0


def test_successes_and_outcomes_are_counted_over_all_buckets() -> None:
    window = filled((0, True), (3, False), (6, True), (29, False))
    assert window.ratio(29) == Ratio(successes=2, outcomes=4)


def test_oldest_bucket_leaves_after_the_window() -> None:
    window = filled((0, False), (29, True))
    assert window.ratio(29.9).outcomes == 2
    assert window.ratio(30) == Ratio(successes=1, outcomes=1)


def test_long_silence_empties_the_window() -> None:
    assert filled((0, False), (15, True)).ratio(1_000_000) == Ratio(0, 0)


def test_first_outcome_may_come_at_any_instant() -> None:
    assert filled((9_876_543.2, False)).ratio(9_876_543.2) == Ratio(0, 1)


def test_clock_that_steps_back_loses_nothing() -> None:
    window = filled((100, False), (40, True))
    assert window.ratio(40) == Ratio(1, 2)


def test_cleared_window_goes_on_counting() -> None:
    window = filled((50, False))
    window.clear()
    window.add(success=True, now=51)
    assert window.ratio(51) == Ratio(1, 1)
