"""Who begins and ends drills: the fault is in place exactly while one runs."""

import random
from collections.abc import Callable, Collection

import pytest

from proxy.core.action import Tried
from proxy.core.breaker import BreakerSettings, State
from proxy.core.drill_record import Record
from proxy.core.drill_report import Drill, End, Report, Shape
from proxy.core.health import Health, HealthPolicy, Key
from proxy.core.outcome import Kind
from proxy.server.drillmaster import Drillmaster
from proxy.telemetry.events import BreakerChanged, Event, ModelServerChanged, Phase, Result
from proxy.upstreams.pool import Pool
from proxy.upstreams.upstream import Identity
from tests.unit.stand_ins import FakeClock, FakeUpstream, request_ended, turn

DRILL = Drill(("cloud",), Shape.SILENT, 1.0, 60.0)
NAMES = ("cloud", "other")
POLICY = HealthPolicy(BreakerSettings(), is_probed=True)
KEY = Key("cloud", "gpt")
REFUSED = (Tried("cloud", Kind.CONNECT),)


class Stage:
    """A drillmaster, its two upstreams, and what it tells."""

    def __init__(self, can_do_without: Callable[[Collection[str]], bool] = lambda _: True) -> None:
        self.clock = FakeClock()
        self.told: list[Event] = []
        self.reports: list[Report] = []
        upstreams = {name: FakeUpstream(Identity(name, "http://127.0.0.1:9/v1")) for name in NAMES}
        self.pool = Pool(upstreams, Health(dict.fromkeys(NAMES, POLICY)), self.clock, self.told.append)
        self.master = Drillmaster(self.pool, can_do_without, random.Random(1), self.clock, self._hear)

    @property
    def sabotaged(self) -> list[str]:
        return [upstream.name for upstream in self.pool if upstream.sabotage is not None]

    @property
    def ends(self) -> list[End | None]:
        """As they were told."""
        return [report.end for report in self.reports]

    def _hear(self, record: Record) -> None:
        self.reports.append(record.report(self.clock.now))


@pytest.fixture
async def stage() -> Stage:
    return Stage()


async def test_only_the_drilled_upstream_is_tampered_with(stage: Stage) -> None:
    stage.master.start(DRILL)
    assert stage.sabotaged == ["cloud"]
    stage.master.stop(End.ASKED)
    assert stage.sabotaged == []
    assert stage.ends == [None, End.ASKED]


async def test_several_upstreams_look_dead_for_the_same_requests(stage: Stage) -> None:
    stage.master.start(Drill(("cloud", "other"), Shape.SILENT, 1.0, 60.0))
    assert stage.sabotaged == ["cloud", "other"]
    stage.master.stop(End.ASKED)
    assert stage.sabotaged == []


async def test_second_drill_leaves_the_first_alone(stage: Stage) -> None:
    stage.master.start(DRILL)
    assert stage.master.start(Drill(("other",), Shape.CUT, 1.0, 1.0)) is None
    assert stage.sabotaged == ["cloud"]
    stage.master.stop(End.ASKED)


async def test_drill_follows_one_whose_timer_is_late(stage: Stage) -> None:
    stage.master.start(DRILL)
    stage.clock.now += 60
    assert stage.master.start(Drill(("other",), Shape.CUT, 1.0, 1.0)) is not None
    assert stage.sabotaged == ["other"]
    assert stage.ends == [None, End.TIME, None]
    stage.master.stop(End.ASKED)


async def test_request_that_fails_ends_it(stage: Stage) -> None:
    stage.master.start(DRILL)
    stage.master.hear(request_ended(result=Result.UNAVAILABLE, upstream=None, tried=REFUSED))
    assert (stage.sabotaged, stage.ends) == ([], [None, End.FAILURE])


async def test_failure_elsewhere_does_not_end_it(stage: Stage) -> None:
    stage.master.start(DRILL)
    stage.master.hear(request_ended(result=Result.UNAVAILABLE, upstream=None, tried=(Tried("other", Kind.CUT),)))
    assert stage.sabotaged == ["cloud"]
    stage.master.stop(End.ASKED)


async def test_loss_of_the_last_stand_in_ends_it() -> None:
    stage = Stage(lambda _: False)
    stage.master.start(DRILL)
    stage.master.hear(ModelServerChanged(Phase.DOWN))
    assert (stage.sabotaged, stage.ends) == ([], [None, End.FAILURE])


async def test_return_of_the_upstream_is_told_once(stage: Stage) -> None:
    stage.master.start(DRILL)
    stage.master.hear(BreakerChanged("cloud", "gpt", State.CLOSED, State.OPEN, Kind.CONNECT))
    stage.master.stop(End.ASKED)
    for _ in range(2):
        stage.master.hear(BreakerChanged("cloud", "gpt", State.OPEN, State.CLOSED, None))
    assert [report.is_over for report in stage.reports] == [False, False, True]
    await turn()


async def test_what_happens_long_after_is_not_counted(stage: Stage) -> None:
    stage.master.start(DRILL)
    stage.master.stop(End.ASKED)
    stage.clock.now += 3600
    stage.master.hear(request_ended(upstream="local", tried=REFUSED))
    assert [report.affected for report in stage.master.reports()] == [0]


# ---- one worker of many


async def test_fleets_drill_is_joined_once_and_goes_on_to_its_own_end(stage: Stage) -> None:
    stage.master.join(7, DRILL, stage.clock.now - 40)
    stage.master.join(7, DRILL, stage.clock.now - 40)
    assert (stage.sabotaged, stage.ends) == (["cloud"], [None])
    stage.clock.now += 20
    assert stage.master.drills.shape("cloud", "gpt", 0.0, stage.clock.now) is None
    stage.master.stop(End.TIME)
    assert [(report.number, report.ran_seconds) for report in stage.master.reports()] == [(7, 60.0)]


async def test_upstream_that_this_worker_does_not_know_is_left_out(stage: Stage) -> None:
    stage.master.join(7, Drill(("cloud", "new"), Shape.CUT, 1.0, 60.0), stage.clock.now)
    stage.master.join(8, Drill(("new",), Shape.CUT, 1.0, 60.0), stage.clock.now)
    assert stage.sabotaged == []
    stage.master.stop(End.ASKED)
    assert [report.return_seconds for report in stage.master.reports()] == [0.0, 0.0]


async def test_worker_that_leaves_breaks_nothing_more_and_goes_on_counting(stage: Stage) -> None:
    stage.master.join(7, DRILL, stage.clock.now)
    stage.master.withdraw()
    assert stage.sabotaged == []
    stage.master.hear(request_ended(upstream="local", tried=REFUSED))
    assert [(report.end, report.rescued) for report in stage.master.reports()] == [(None, 1)]
    stage.master.hear(request_ended(result=Result.UNAVAILABLE, upstream=None, tried=REFUSED))
    assert stage.ends == [None, End.FAILURE]


async def test_breaker_that_was_open_before_the_drill_holds_back_too(stage: Stage) -> None:
    stage.pool.adopt_opened(KEY, "chat/completions", 10.0)
    stage.master.start(DRILL)
    stage.master.stop(End.ASKED)
    assert [report.return_seconds for report in stage.master.reports()] == [None]


async def test_breaker_that_opened_as_another_workers_did_holds_back_too(stage: Stage) -> None:
    stage.master.join(7, DRILL, stage.clock.now)
    stage.pool.adopt_opened(KEY, "chat/completions", 10.0)
    stage.master.look()
    stage.master.stop(End.ASKED)
    stage.clock.now += 5
    stage.master.hear(BreakerChanged("cloud", "gpt", State.RAMPING, State.CLOSED, None))
    assert [report.return_seconds for report in stage.reports] == [None, None, 5.0]


async def test_loss_of_the_fleets_stand_in_ends_it() -> None:
    stage = Stage(lambda _: False)
    stage.master.join(7, DRILL, stage.clock.now)
    stage.master.look()
    assert (stage.sabotaged, stage.ends) == ([], [None, End.FAILURE])
