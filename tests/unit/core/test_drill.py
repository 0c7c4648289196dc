"""What runs, whom it concerns, and what is told of it."""

import pytest

from proxy.core.action import Tried
from proxy.core.breaker import State
from proxy.core.drill import Drills
from proxy.core.drill_record import AttemptFact, Fate, Record, RequestFact
from proxy.core.drill_report import Drill, End, Report, Shape
from proxy.core.drill_series import KEPT
from proxy.core.outcome import OK, Kind, Outcome

DRILL = Drill(("cloud",), Shape.REFUSED, 0.25, 30.0)
REFUSED = Tried("cloud", Kind.CONNECT, model="gpt")


@pytest.fixture
def record() -> Record:
    return Record(1, DRILL, 100.0)


def fact(
    fate: Fate = Fate.ANSWERED,
    *tried: Tried,
    upstream: str | None = "local",
    resumed_by: str | None = None,
    seconds: float = 0.5,
) -> RequestFact:
    return RequestFact("req-1", upstream, "gpt", tried, resumed_by, fate, seconds)


def test_drill_concerns_its_upstream_and_its_share() -> None:
    drills = Drills()
    drills.start(DRILL, 100.0)
    shapes = [
        drills.shape(name, "gpt", draw, 101.0) for name, draw in (("cloud", 0.24), ("cloud", 0.25), ("other", 0.0))
    ]
    assert shapes == [Shape.REFUSED, None, None]


def test_drill_is_over_when_its_time_is_though_nobody_ends_it() -> None:
    drills = Drills()
    drills.start(DRILL, 100.0)
    assert drills.shape("cloud", "gpt", 0.0, 129.999) is Shape.REFUSED
    assert drills.shape("cloud", "gpt", 0.0, 130.0) is None
    assert [record.report(500.0).ran_seconds for record in drills] == [30.0]


def test_one_drill_runs_at_a_time() -> None:
    drills = Drills()
    assert drills.start(DRILL, 100.0)
    assert drills.start(DRILL, 129.0) is None
    assert drills.start(DRILL, 130.0)


def test_drill_that_is_stopped_concerns_nobody() -> None:
    drills = Drills()
    drills.start(DRILL, 100.0)
    stopped = drills.stop(End.ASKED, 104.0)
    assert stopped is not None
    assert (stopped.end, stopped.report(200.0).ran_seconds) == (End.ASKED, 4.0)
    assert drills.shape("cloud", "gpt", 0.0, 105.0) is None
    assert drills.stop(End.ASKED, 106.0) is None


def test_only_the_last_reports_are_kept() -> None:
    drills = Drills()
    for number in range(KEPT + 3):
        drills.start(DRILL, number * 100.0)
    assert [record.number for record in drills] == list(range(4, KEPT + 4))


def test_report_of_a_good_drill(record: Record) -> None:
    record.broke(101.0)
    record.breaker("cloud", "gpt", State.OPEN, 101.5)
    record.request(fact(Fate.ANSWERED, REFUSED, seconds=0.25), 101.6)
    record.request(fact(Fate.ANSWERED, REFUSED, seconds=0.75), 101.7)
    record.request(fact(upstream="cloud"), 101.8)
    record.ended(130.0, End.TIME)
    record.breaker("cloud", "gpt", State.HALF_OPEN, 133.0)
    record.breaker("cloud", "gpt", State.CLOSED, 134.0)
    record.request(fact(upstream="cloud"), 136.0)
    assert record.report(200.0) == Report(
        number=1,
        upstreams=("cloud",),
        model=None,
        shape=Shape.REFUSED,
        share=0.25,
        stated_seconds=30.0,
        ran_seconds=30.0,
        end=End.TIME,
        attempts_broken=1,
        affected=2,
        rescued=2,
        failed=0,
        left=0,
        detect_seconds=0.5,
        rescue_seconds=0.25,
        mean_rescue_seconds=0.5,
        longest_rescue_seconds=0.75,
        first_answer_seconds=6.0,
        return_seconds=4.0,
    )


@pytest.mark.parametrize(
    ("told", "counts"),
    [
        (fact(upstream="cloud"), (0, 0, 0, 0)),
        (fact(Fate.ANSWERED, Tried("other", Kind.CONNECT)), (0, 0, 0, 0)),
        (fact(Fate.ANSWERED, Tried("cloud", Kind.BREAKER_OPEN)), (1, 1, 0, 0)),
        (fact(upstream="cloud", resumed_by="local"), (1, 1, 0, 0)),
        (fact(Fate.FAILED, upstream="cloud"), (1, 0, 1, 0)),
        (fact(Fate.FAILED, REFUSED, upstream=None), (1, 0, 1, 0)),
        (fact(Fate.FAILED, upstream="other"), (0, 0, 0, 0)),
        (fact(Fate.LEFT, REFUSED, upstream=None), (1, 0, 0, 1)),
    ],
)
def test_affected_is_who_was_left_in_the_lurch(told: RequestFact, counts: tuple[int, ...], record: Record) -> None:
    record.request(told, 101.0)
    report = record.report(102.0)
    assert (report.affected, report.rescued, report.failed, report.left) == counts


def test_stream_that_is_gone_on_with_is_timed_to_the_stand_ins_first_word(record: Record) -> None:
    record.attempt(AttemptFact("req-1", "cloud", "gpt", Outcome(Kind.CUT, 200), 2.0, 0.1))
    record.attempt(AttemptFact("req-1", "local", "smollm2", OK, 3.0, 0.5))
    record.request(fact(upstream="cloud", resumed_by="local", seconds=0.1), 106.0)
    assert record.report(107.0).rescue_seconds == 2.5


def test_upstream_is_back_when_its_last_breaker_is_closed(record: Record) -> None:
    for model in ("gpt", "mini"):
        record.breaker("cloud", model, State.OPEN, 101.0)
    record.ended(130.0, End.TIME)
    record.breaker("cloud", "gpt", State.CLOSED, 140.0)
    assert not record.is_over
    record.breaker("cloud", "mini", State.CLOSED, 150.0)
    assert record.report(200.0).return_seconds == 20.0


def test_upstream_whose_breakers_held_is_back_at_once(record: Record) -> None:
    record.ended(130.0, End.TIME)
    assert record.report(130.0).return_seconds == 0.0


def test_upstreams_are_back_when_the_last_of_them_is() -> None:
    record = Record(1, Drill(("cloud", "second"), Shape.REFUSED, 1.0, 30.0), 100.0)
    for upstream in ("cloud", "second"):
        record.breaker(upstream, "gpt", State.OPEN, 101.0)
    record.ended(130.0, End.TIME)
    record.breaker("cloud", "gpt", State.CLOSED, 140.0)
    assert not record.is_over
    record.breaker("second", "gpt", State.CLOSED, 150.0)
    assert record.report(200.0).return_seconds == 20.0


def test_other_models_say_nothing_of_a_drill_of_one() -> None:
    record = Record(1, Drill(("cloud",), Shape.REFUSED, 1.0, 30.0, "mini"), 100.0)
    record.broke(101.0)
    record.breaker("cloud", "gpt", State.OPEN, 101.5)
    record.request(fact(Fate.ANSWERED, REFUSED), 102.0)
    record.request(fact(upstream="cloud", resumed_by="local"), 102.0)
    report = record.report(103.0)
    assert (report.model, report.affected, report.detect_seconds) == ("mini", 0, None)


def test_other_upstreams_breakers_say_nothing(record: Record) -> None:
    record.broke(101.0)
    record.breaker("other", "gpt", State.OPEN, 102.0)
    assert record.report(103.0).detect_seconds is None


@pytest.mark.parametrize(("is_back", "closed_at"), [(True, 140.0), (False, 1030.0)])
def test_what_happens_long_after_is_not_the_drills(is_back: bool, closed_at: float, record: Record) -> None:
    if not is_back:
        record.breaker("cloud", "gpt", State.OPEN, 101.0)
    record.ended(130.0, End.TIME)
    assert [record.is_closed(now) for now in (closed_at - 0.1, closed_at)] == [False, True]
