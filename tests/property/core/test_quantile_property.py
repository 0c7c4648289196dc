"""The quantile against one that keeps everything."""

from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from proxy.core.quantile import RecentQuantile

WINDOW = 150.0
STEP = st.tuples(st.floats(0, 60), st.floats(0.011, 100))
"""How long after the one before, and the value."""


@given(st.lists(STEP, min_size=1, max_size=60), st.floats(0, 200), st.sampled_from([0.5, 0.95, 1.0]))
def test_quantile_is_that_of_the_values_in_the_window_and_at_most_a_tenth_above(
    steps: list[tuple[float, float]], pause: float, share: float
) -> None:
    recent, now, seen = RecentQuantile(WINDOW), 0.0, []
    for gap, value in steps:
        now += gap
        recent.add(value, now)
        seen.append((int(now / 10), value))
    now += pause
    left = sorted(value for slot, value in seen if int(now / 10) - slot < 15)
    found = recent.quantile(share, now)
    assert recent.count == len(left)
    if found is None:
        assert left == []
        return
    exact = left[ceil(share * len(left)) - 1]
    assert exact * 0.999999 <= found <= exact * 1.100001


@given(st.floats(0, 0.01), st.floats(130, 1e9))
def test_what_lies_beyond_counts_as_if_it_lay_at_the_end(tiny: float, huge: float) -> None:
    recent = RecentQuantile(WINDOW)
    recent.add(tiny, 0.0)
    assert recent.quantile(1.0, 0.0) == 0.01
    recent.add(huge, 0.0)
    assert 100 < (recent.quantile(1.0, 0.0) or 0) < 130


@given(st.lists(st.floats(0, 1000), max_size=20))
def test_clock_that_steps_back_loses_nothing(instants: list[float]) -> None:
    recent = RecentQuantile(1e6)
    for now in instants:
        recent.add(1.0, now)
    assert recent.count == len(instants)
