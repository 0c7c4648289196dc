"""Drills by the configuration's timetable."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from proxy.core.drill_report import Drill, Report
from proxy.core.timetable import WeekTime
from proxy.telemetry.events import DrillSkipped, Emit

_TICK_SECONDS = 1.0


class Appointment(NamedTuple):
    """A drill of every week."""

    at: WeekTime
    drill: Drill


class Master(Protocol):
    """Who performs drills."""

    def has_stand_in(self, upstream: str) -> bool:
        """Whether anybody could answer in place of an upstream."""
        ...

    def start(self, drill: Drill) -> Report | None:
        """Begin; None while another drill runs."""
        ...


@dataclass(frozen=True, slots=True)
class Timekeeper:
    """`local_time` reads the clock on the wall."""

    master: Master
    appointments: Sequence[Appointment]
    local_time: Callable[[], datetime]
    emit: Emit

    async def run(self) -> None:
        """Look once a second, until cancelled."""
        before = self.local_time()
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = self.local_time()
            self.look(before, now)
            before = now

    def look(self, before: datetime, now: datetime) -> None:
        """Begin what has become due."""
        for appointment in self.appointments:
            if appointment.at.was_due(before, now):
                self._begin(appointment.drill)

    def _begin(self, drill: Drill) -> None:
        if not self.master.has_stand_in(drill.upstream):
            self.emit(DrillSkipped(drill, "nobody could answer in its place"))
        elif self.master.start(drill) is None:
            self.emit(DrillSkipped(drill, "another drill runs"))
