"""Drills that begin by themselves."""

from datetime import datetime, timedelta

import pytest

from proxy.core.drill_record import Record
from proxy.core.drill_report import Drill, Report, Shape
from proxy.core.timetable import WeekTime
from proxy.server.timekeeper import Appointment, Timekeeper
from proxy.telemetry.events import DrillSkipped, Event

DRILL = Drill(("cloud",), Shape.SILENT, 0.05, 120.0)
DUE = datetime(2026, 11, 24, 10, 0)  # noqa: DTZ001 - the clock on the wall
SECOND = timedelta(seconds=1)


class Owner:
    """Notes what begins."""

    def __init__(self, *, is_busy: bool = False) -> None:
        self.started: list[Drill] = []
        self._is_busy = is_busy

    async def start(self, drill: Drill) -> Report | None:
        if self._is_busy:
            return None
        self.started.append(drill)
        return Record(1, drill, 0.0).report(0.0)

    async def stop(self) -> list[Report]:
        return []

    async def reports(self) -> list[Report]:
        return []


def keeper(owner: Owner, told: list[Event], *, can_rescue: bool = True) -> Timekeeper:
    appointments = [Appointment(WeekTime(1, 10, 0), DRILL)]
    return Timekeeper(owner, lambda _: can_rescue, lambda: appointments, lambda: DUE, told.append)


async def test_drill_begins_when_it_is_due() -> None:
    owner, told = Owner(), list[Event]()
    for number in range(-3, 4):
        await keeper(owner, told).look(DUE + number * SECOND, DUE + (number + 1) * SECOND)
    assert (owner.started, told) == ([DRILL], [])


@pytest.mark.parametrize(
    ("is_busy", "can_rescue", "why"),
    [(True, True, "another drill runs"), (False, False, "nobody could answer in its place")],
)
async def test_drill_that_cannot_begin_is_told(is_busy: bool, can_rescue: bool, why: str) -> None:
    owner, told = Owner(is_busy=is_busy), list[Event]()
    await keeper(owner, told, can_rescue=can_rescue).look(DUE - SECOND, DUE)
    assert (owner.started, told) == ([], [DrillSkipped(DRILL, why)])
