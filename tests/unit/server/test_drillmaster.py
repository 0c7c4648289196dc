"""Who begins and ends drills: the fault is in place exactly while one runs."""

import random
from collections.abc import Callable

import pytest

from proxy.core.action import Tried
from proxy.core.breaker import State
from proxy.core.drill_report import Drill, End, Shape
from proxy.core.health import Health
from proxy.core.outcome import Kind
from proxy.server.drillmaster import Drillmaster
from proxy.telemetry.events import BreakerChanged, DrillChanged, Event, ModelServerChanged, Phase, Result
from proxy.upstreams.pool import Pool
from proxy.upstreams.upstream import Identity
from tests.unit.stand_ins import FakeClock, FakeUpstream, request_ended, turn

DRILL = Drill("cloud", Shape.SILENT, 1.0, 60.0)
REFUSED = (Tried("cloud", Kind.CONNECT),)


class Stage:
    """A drillmaster, its two upstreams, and what it tells."""

    def __init__(self, can_do_without: Callable[[str], bool] = lambda _: True) -> None:
        self.clock = FakeClock()
        self.told: list[Event] = []
        upstreams = {name: FakeUpstream(Identity(name, "http://127.0.0.1:9/v1")) for name in ("cloud", "other")}
        self.pool = Pool(upstreams, Health({}), self.clock, self.told.append)
        self.master = Drillmaster(self.pool, can_do_without, random.Random(1), self.clock, self.told.append)

    @property
    def sabotaged(self) -> list[str]:
        return [upstream.name for upstream in self.pool if upstream.sabotage is not None]

    @property
    def ends(self) -> list[End | None]:
        """As they were told."""
        return [event.report.end for event in self.told if isinstance(event, DrillChanged)]


@pytest.fixture
async def stage() -> Stage:
    return Stage()


async def test_only_the_drilled_upstream_is_tampered_with(stage: Stage) -> None:
    stage.master.start(DRILL)
    assert stage.sabotaged == ["cloud"]
    stage.master.stop(End.ASKED)
    assert stage.sabotaged == []
    assert stage.ends == [None, End.ASKED]


async def test_second_drill_leaves_the_first_alone(stage: Stage) -> None:
    stage.master.start(DRILL)
    assert stage.master.start(Drill("other", Shape.CUT, 1.0, 1.0)) is None
    assert stage.sabotaged == ["cloud"]
    stage.master.stop(End.ASKED)


async def test_drill_follows_one_whose_timer_is_late(stage: Stage) -> None:
    stage.master.start(DRILL)
    stage.clock.now += 60
    assert stage.master.start(Drill("other", Shape.CUT, 1.0, 1.0)) is not None
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
    assert [event.report.is_over for event in stage.told if isinstance(event, DrillChanged)] == [False, False, True]
    await turn()


async def test_what_happens_long_after_is_not_counted(stage: Stage) -> None:
    stage.master.start(DRILL)
    stage.master.stop(End.ASKED)
    stage.clock.now += 3600
    stage.master.hear(request_ended(upstream="local", tried=REFUSED))
    assert [report.affected for report in stage.master.reports()] == [0]
