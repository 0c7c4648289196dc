"""A drill keeps its word, whatever is asked when."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.drill import Drills
from proxy.core.drill_report import Drill, End, Shape

INSTANTS = st.floats(0, 200)
SECONDS = st.floats(0.1, 100)
SHARES = st.floats(0.01, 1)


@given(SECONDS, INSTANTS, st.lists(INSTANTS))
def test_nothing_is_affected_before_or_after_the_stated_time(
    seconds: float, began_at: float, asked: list[float]
) -> None:
    drills = Drills()
    drills.start(Drill(("cloud",), Shape.CUT, 1.0, seconds), began_at)
    affected = [now for now in sorted(asked) if now >= began_at and drills.shape("cloud", "gpt", 0.0, now)]
    assert all(now < began_at + seconds for now in affected)
    assert drills.running(1000.0) is None
    assert [record.report(1000.0).ran_seconds for record in drills] == [pytest.approx(seconds)]


@given(SECONDS, st.floats(0, 200), st.lists(INSTANTS))
def test_nothing_is_affected_after_a_stop(seconds: float, stopped_at: float, asked: list[float]) -> None:
    drills = Drills()
    drills.start(Drill(("cloud",), Shape.CUT, 1.0, seconds), 0.0)
    drills.stop(End.ASKED, stopped_at)
    assert all(drills.shape("cloud", "gpt", 0.0, stopped_at + later) is None for later in asked)


@given(SHARES, st.integers(0, 2**32))
def test_share_of_the_requests_is_near_what_was_asked_for(share: float, seed: int) -> None:
    drills, rng = Drills(), random.Random(seed)
    drills.start(Drill(("cloud",), Shape.CUT, share, 60.0), 0.0)
    count = sum(drills.shape("cloud", "gpt", rng.random(), 1.0) is not None for _ in range(2000))
    assert abs(count / 2000 - share) < 0.07  # six standard deviations of the worst case


@given(SHARES, st.floats(0, 1, exclude_max=True))
def test_one_request_gets_one_verdict(share: float, draw: float) -> None:
    drills = Drills()
    drills.start(Drill(("cloud",), Shape.CUT, share, 60.0), 0.0)
    assert len({drills.shape("cloud", "gpt", draw, float(now)) for now in range(60)}) == 1
