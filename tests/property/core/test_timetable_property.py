"""Every week has each of its moments once."""

from datetime import datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from proxy.core.timetable import WeekTime

MOMENTS = st.builds(WeekTime, st.integers(0, 6), st.integers(0, 23), st.integers(0, 59))
INSTANTS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1))  # noqa: DTZ001 - the clock on the wall


@given(MOMENTS, INSTANTS)
def test_latest_is_that_moment_and_less_than_a_week_ago(moment: WeekTime, now: datetime) -> None:
    latest = moment.latest(now)
    assert timedelta(0) <= now - latest < timedelta(days=7)
    assert (latest.weekday(), latest.hour, latest.minute) == moment


@given(MOMENTS, INSTANTS, st.floats(0.1, 59), st.floats(1, 300))
def test_it_is_due_once_however_one_looks(
    moment: WeekTime, now: datetime, step_seconds: float, lead_seconds: float
) -> None:
    start = moment.latest(now) - timedelta(seconds=lead_seconds)
    count = int((lead_seconds + 300) / step_seconds)
    looks = [start + timedelta(seconds=step_seconds * number) for number in range(count + 2)]
    assert sum(moment.was_due(before, after) for before, after in pairwise(looks)) == 1
