"""One drill in many workers: each has a drillmaster of its own, and the fleet's drills stand between."""

import random

import pytest
from msgspec.structs import replace

from proxy.core.action import Tried
from proxy.core.breaker import BreakerSettings, State
from proxy.core.drill_report import Drill, End, Report, Shape
from proxy.core.health import Health, HealthPolicy, Key
from proxy.core.outcome import Kind
from proxy.server.drillmaster import Drillmaster
from proxy.telemetry.events import BreakerChanged, DrillChanged, Event, Result
from proxy.upstreams.pool import Pool
from proxy.upstreams.upstream import Identity
from proxy.workers.drills import FleetDrills
from proxy.workers.messages import DrillHarmed, DrillOrdered, DrillReports, DrillsAsked, DrillSeen, Message
from proxy.workers.remote_drills import RemoteDrills, follow
from tests.unit.stand_ins import FakeClock, FakeUpstream, request_ended, turn

DRILL = Drill(("cloud",), Shape.STATUS_503, 1.0, 60.0)
REFUSED = (Tried("cloud", Kind.CONNECT),)
RESCUED = request_ended(upstream="local", tried=REFUSED)
FAILED = request_ended(result=Result.UNAVAILABLE, upstream=None, tried=REFUSED)
OPENED = BreakerChanged("cloud", "gpt", State.CLOSED, State.OPEN, Kind.CONNECT)
CLOSED = BreakerChanged("cloud", "gpt", State.RAMPING, State.CLOSED, None)


class Colleague:
    """One worker: what it performs, and the answers to its questions."""

    def __init__(self, crew: "Crew", number: int) -> None:
        self.number = number
        self.answers: list[DrillReports] = []
        self._crew = crew
        policy = HealthPolicy(BreakerSettings(), is_probed=True)
        upstream = FakeUpstream(Identity("cloud", "http://127.0.0.1:9/v1"))
        self.pool = Pool({"cloud": upstream}, Health({"cloud": policy}), crew.clock, lambda _: None)
        remote = RemoteDrills(self._say)
        self.master = Drillmaster(self.pool, lambda _: True, random.Random(number), crew.clock, remote.tell)

    def send(self, message: DrillSeen | DrillReports) -> None:
        if isinstance(message, DrillReports):
            self.answers.append(message)
        else:
            follow(self.master, message)

    def ask(self, question: DrillOrdered | DrillsAsked) -> None:
        self._crew.drills.hear(self, question)

    def report(self) -> None:
        told = self.master.findings()
        self._crew.drills.found(self, (told[0], replace(told[1])) if told else None)

    @property
    def is_sabotaged(self) -> bool:
        return self.pool["cloud"].sabotage is not None

    def _say(self, message: Message) -> None:
        assert isinstance(message, DrillHarmed)
        self._crew.drills.hear(self, message)


class Crew:
    """A fleet of two, and what it tells."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.told: list[Event] = []
        self.members: list[Colleague] = []
        self.drills = FleetDrills(self._collect, self.clock, self.told.append)
        self.first, self.second = self.join(), self.join()

    def join(self, *, has_open_breaker: bool = False) -> Colleague:
        colleague = Colleague(self, len(self.members) + 1)
        if has_open_breaker:  # which the hub tells before
            colleague.pool.adopt_opened(Key("cloud", "gpt"), "chat/completions", 10.0)
        self.members.append(colleague)
        self.drills.join(colleague)
        return colleague

    @property
    def reports(self) -> list[Report]:
        """As they were told."""
        return [event.report for event in self.told if isinstance(event, DrillChanged)]

    @property
    def sabotaged(self) -> list[int]:
        return [member.number for member in self.members if member.is_sabotaged]

    async def _collect(self) -> None:
        for member in self.members:
            member.report()


@pytest.fixture
async def crew() -> Crew:
    return Crew()


async def test_drill_runs_in_all_workers_and_is_told_once(crew: Crew) -> None:
    await crew.drills.start(DRILL)
    assert crew.sabotaged == [1, 2]
    crew.clock.now += 4
    (report,) = await crew.drills.stop()
    await turn()
    assert crew.sabotaged == []
    assert (report.end, report.ran_seconds) == (End.ASKED, 4.0)
    assert [told.end for told in crew.reports] == [None, End.ASKED]


async def test_second_drill_is_refused_whoever_orders_it(crew: Crew) -> None:
    crew.first.ask(DrillOrdered(5, DRILL))
    await turn()
    crew.second.ask(DrillOrdered(5, replace(DRILL, shape=Shape.CUT)))
    await turn()
    assert [[report.shape for report in answer.reports] for answer in crew.first.answers] == [[Shape.STATUS_503]]
    assert crew.second.answers == [DrillReports(5, [])]
    await crew.drills.close()


async def test_report_is_that_of_all_whoever_asks(crew: Crew) -> None:
    await crew.drills.start(DRILL)
    for member in crew.members:
        member.master.hear(RESCUED)
    crew.second.ask(DrillsAsked(9))
    await turn()
    (answer,) = crew.second.answers
    assert (answer.number, [report.rescued for report in answer.reports]) == (9, [2])
    await crew.drills.close()


async def test_request_that_fails_in_one_worker_ends_it_in_all(crew: Crew) -> None:
    await crew.drills.start(DRILL)
    crew.clock.now += 3
    crew.second.master.hear(FAILED)
    assert crew.sabotaged == []
    await turn()
    assert [(told.end, told.failed) for told in crew.reports] == [(None, 0), (End.FAILURE, 1)]
    assert [member.master.reports()[0].end for member in crew.members] == [End.FAILURE] * 2


async def test_harm_that_is_told_late_does_not_end_the_next_one(crew: Crew) -> None:
    await crew.drills.start(DRILL)
    await crew.drills.stop()
    await crew.drills.start(DRILL)
    crew.drills.hear(crew.first, DrillHarmed(1, crew.clock.now))
    assert crew.sabotaged == [1, 2]
    await crew.drills.close()


async def test_each_worker_ends_it_in_time_though_the_fleet_is_silent(crew: Crew) -> None:
    await crew.drills.start(DRILL)
    crew.clock.now += 60
    assert all(member.master.drills.shape("cloud", "gpt", 0.0, crew.clock.now) is None for member in crew.members)
    assert [report.end for report in await crew.drills.reports()] == [End.TIME]
    await crew.drills.close()


async def test_drill_follows_one_whose_timer_is_late(crew: Crew) -> None:
    await crew.drills.start(DRILL)
    crew.clock.now += 60
    assert await crew.drills.start(DRILL)
    assert crew.sabotaged == [1, 2]
    await turn()
    assert [told.end for told in crew.reports] == [None, None, End.TIME]
    await crew.drills.close()


async def test_worker_that_comes_in_the_middle_takes_part(crew: Crew) -> None:
    await crew.drills.start(DRILL)
    crew.clock.now += 20
    third = crew.join()
    assert crew.sabotaged == [1, 2, 3]
    third.master.hear(RESCUED)
    crew.clock.now += 5
    (report,) = await crew.drills.stop()
    assert (report.rescued, report.ran_seconds) == (1, 25.0)
    assert third.master.reports()[0].ran_seconds == 25.0


async def test_worker_that_ends_leaves_its_counts(crew: Crew) -> None:
    await crew.drills.start(DRILL)
    crew.first.master.hear(RESCUED)
    crew.first.report()
    crew.members.remove(crew.first)
    crew.drills.leave(crew.first)
    crew.second.master.hear(RESCUED)
    assert [(report.end, report.rescued) for report in await crew.drills.reports()] == [(None, 2)]
    await crew.drills.close()


async def test_return_is_told_once_when_the_last_worker_is_well(crew: Crew) -> None:
    await crew.drills.start(DRILL)
    for member in crew.members:
        member.master.hear(OPENED)
    await crew.drills.stop()
    await turn()
    for member, seconds in ((crew.first, 5.0), (crew.second, 2.0)):
        crew.clock.now += seconds
        member.master.hear(CLOSED)
        member.report()
        member.report()
    assert [told.return_seconds for told in crew.reports] == [None, None, 7.0]


async def test_worker_that_comes_after_the_end_is_waited_for_while_its_breaker_is_open(crew: Crew) -> None:
    await crew.drills.start(DRILL)
    crew.first.master.hear(OPENED)
    await crew.drills.stop()
    third = crew.join(has_open_breaker=True)
    crew.first.master.hear(CLOSED)
    assert not (await crew.drills.reports())[0].is_over
    crew.clock.now += 3
    third.master.hear(CLOSED)
    assert (await crew.drills.reports())[0].return_seconds == 3.0


async def test_worker_without_drills_takes_no_part(crew: Crew) -> None:
    await crew.drills.start(DRILL)
    third = Colleague(crew, 3)
    crew.drills.join(third)
    crew.drills.found(third, None)
    assert (await crew.drills.stop())[0].is_over
