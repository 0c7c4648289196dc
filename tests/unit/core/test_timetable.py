"""When something of every week is due."""

from datetime import datetime, timedelta

import pytest

from proxy.core.timetable import LATE, WeekTime

TUESDAY_TEN = WeekTime(1, 10, 0)
DUE = datetime(2026, 11, 24, 10, 0)  # noqa: DTZ001 - the clock on the wall
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("now", "latest"),
    [
        (DUE, DUE),
        (DUE - SECOND, DUE - timedelta(days=7)),
        (DUE + timedelta(days=6, hours=23), DUE),
        (DUE - timedelta(days=1), DUE - timedelta(days=7)),
    ],
)
def test_latest_is_at_most_a_week_ago(now: datetime, latest: datetime) -> None:
    assert TUESDAY_TEN.latest(now) == latest


@pytest.mark.parametrize(
    ("before", "now", "was_due"),
    [
        (DUE - SECOND, DUE, True),
        (DUE, DUE + SECOND, False),
        (DUE - 2 * SECOND, DUE - SECOND, False),
        (DUE - SECOND, DUE + LATE - SECOND, True),
        (DUE - SECOND, DUE + LATE, False),
        (DUE + SECOND, DUE, False),
    ],
)
def test_is_due_once_and_not_late(before: datetime, now: datetime, was_due: bool) -> None:
    assert TUESDAY_TEN.was_due(before, now) is was_due
