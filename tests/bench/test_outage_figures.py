"""The bench of outages: what it makes of what clients heard, and that it runs."""

import pytest

from tests.bench.outage import scenes
from tests.bench.outage.__main__ import QUICK
from tests.bench.outage.client import Heard
from tests.bench.outage.scenes import Attempts, Times
from tests.bench.outage.stage import staged
from tests.fakes.behaviour import Behaviour


def test_pause_in_the_middle_is_the_longest_between_two_pieces() -> None:
    assert Heard(True, (0.5, 0.6, 1.75, 1.8)).longest_gap_seconds == pytest.approx(1.15)


def test_answer_in_one_piece_has_no_pause() -> None:
    assert Heard(True, (2.0,)).longest_gap_seconds == 0.0


def test_row_names_its_aim_and_who_was_left_without_an_answer() -> None:
    said = " ".join(str(Times("lost", [0.01, 0.02, 0.03], 0.05, 2)).split())
    assert said == "lost 3 20.0 29.8 aim: p99 at most 50 2 failed"


def test_attempts_are_told_by_the_second() -> None:
    said = str(Attempts("outage", [4, 0, 2], 60, 0))
    assert "6 attempts, 2.00/s, 4 in the busiest second" in said


@pytest.mark.slow
async def test_it_runs_and_nobody_is_left_without_an_answer() -> None:
    async with staged(with_model=False) as stage:
        times = await scenes.refused(stage, QUICK)
        attempts = await scenes.attempts(stage, QUICK, Behaviour.ERROR_503)
    assert (times.failed, len(times.seconds), attempts.failed) == (0, QUICK.quick, 0)
    assert 3 <= sum(attempts.by_second) < attempts.requests, "as many as it takes to find out"
