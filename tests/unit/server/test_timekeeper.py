"""Drills that begin by themselves."""

from datetime import datetime, timedelta

import pytest

from proxy.core.drill_record import Record
from proxy.core.drill_report import Drill, Report, Shape
from proxy.core.timetable import WeekTime
from proxy.server.timekeeper import Appointment, Timekeeper
from proxy.telemetry.events import DrillSkipped, Event

DRILL = Drill("cloud", Shape.SILENT, 0.05, 120.0)
DUE = datetime(2026, 11, 24, 10, 0)  # noqa: DTZ001 - the clock on the wall
SECOND = timedelta(seconds=1)


class Master:
    """Notes what begins."""

    def __init__(self, *, is_busy: bool = False, can_rescue: bool = True) -> None:
        self.started: list[Drill] = []
        self._can_rescue = can_rescue
        self._is_busy = is_busy

    def has_stand_in(self, upstream: str) -> bool:
        return self._can_rescue

    def start(self, drill: Drill) -> Report | None:
        if self._is_busy:
            return None
        self.started.append(drill)
        return Record(1, drill, 0.0).report(0.0)


def keeper(master: Master, told: list[Event]) -> Timekeeper:
    return Timekeeper(master, [Appointment(WeekTime(1, 10, 0), DRILL)], lambda: DUE, told.append)


def test_drill_begins_when_it_is_due() -> None:
    master, told = Master(), list[Event]()
    for number in range(-3, 4):
        keeper(master, told).look(DUE + number * SECOND, DUE + (number + 1) * SECOND)
    assert (master.started, told) == ([DRILL], [])


@pytest.mark.parametrize(
    ("master", "why"),
    [(Master(is_busy=True), "another drill runs"), (Master(can_rescue=False), "nobody could answer in its place")],
)
def test_drill_that_cannot_begin_is_told(master: Master, why: str) -> None:
    told = list[Event]()
    keeper(master, told).look(DUE - SECOND, DUE)
    assert (master.started, told) == ([], [DrillSkipped(DRILL, why)])
