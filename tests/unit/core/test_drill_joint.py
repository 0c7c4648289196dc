"""What the workers of a fleet have found of a drill, as one report."""

import pytest

from proxy.core.drill_findings import Findings
from proxy.core.drill_joint import JointRecord
from proxy.core.drill_report import Drill, End, Shape

DRILL = Drill(("cloud",), Shape.REFUSED, 0.25, 30.0)
BACK = Findings(rescued=1, returned_at=140.0)


@pytest.fixture
def record() -> JointRecord:
    """Of two workers."""
    joint = JointRecord(1, DRILL, 100.0)
    for worker in (1, 2):
        joint.expect(worker)
    return joint


def test_findings_add_up(record: JointRecord) -> None:
    record.found(1, Findings(broken=2, broken_at=101.5, rescued=3, failed=1, left=4))
    record.found(2, Findings(broken=5, broken_at=101.0, detected_at=103.0, rescued=1))
    report = record.report(110.0)
    assert (report.attempts_broken, report.affected, report.rescued, report.failed, report.left) == (7, 9, 4, 1, 4)
    assert report.detect_seconds == 2.0


def test_later_findings_of_a_worker_replace_the_ones_before(record: JointRecord) -> None:
    for rescued in (1, 3):
        record.found(1, Findings(rescued=rescued))
    assert record.report(110.0).rescued == 3


def test_mean_is_that_of_all_rescues_and_the_first_is_the_first_of_all(record: JointRecord) -> None:
    quick, slow = Findings(), Findings()
    for seconds in (0.25, 0.5, 0.75):
        quick.note_rescue(seconds, 102.0)
    slow.note_rescue(2.5, 101.0)
    record.found(1, quick)
    record.found(2, slow)
    report = record.report(110.0)
    assert (report.rescue_seconds, report.mean_rescue_seconds, report.longest_rescue_seconds) == (2.5, 1.0, 2.5)


def test_upstream_is_back_when_no_worker_holds_back_any_more(record: JointRecord) -> None:
    record.ended(130.0, End.TIME)
    record.found(1, BACK)
    assert not record.is_over
    record.found(2, Findings(returned_at=150.0))
    assert record.report(200.0).return_seconds == 20.0


def test_worker_that_ended_leaves_its_counts_and_is_not_waited_for(record: JointRecord) -> None:
    record.ended(130.0, End.TIME)
    record.found(1, BACK)
    record.found(2, Findings(rescued=7))
    record.gone(2)
    report = record.report(200.0)
    assert (report.rescued, report.return_seconds) == (8, 10.0)


def test_successor_is_waited_for_until_it_says_that_all_is_well(record: JointRecord) -> None:
    record.ended(130.0, End.TIME)
    record.found(1, BACK)
    record.gone(2)
    record.expect(3)
    assert not record.is_over
    record.found(3, Findings(returned_at=160.0))
    assert record.report(200.0).return_seconds == 30.0


def test_nobody_can_say_that_it_is_back_while_no_worker_lives(record: JointRecord) -> None:
    record.ended(130.0, End.TIME)
    record.found(1, BACK)
    for worker in (1, 2):
        record.gone(worker)
    assert not record.is_over
    assert record.report(200.0).rescued == 1


def test_worker_that_takes_no_part_is_not_waited_for(record: JointRecord) -> None:
    record.ended(130.0, End.TIME)
    record.found(1, BACK)
    record.found(2, None)
    assert record.is_over


def test_what_a_worker_saw_a_moment_before_the_others_is_not_before_the_end(record: JointRecord) -> None:
    record.ended(130.0, End.FAILURE)
    record.found(1, Findings(answered_at=129.9, returned_at=129.9))
    record.found(2, None)
    report = record.report(200.0)
    assert (report.first_answer_seconds, report.return_seconds) == (0.0, 0.0)
