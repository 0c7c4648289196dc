"""Drills by the configuration's timetable."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from proxy.core.drill_report import Drill
from proxy.core.timetable import WeekTime
from proxy.server.drill_owner import DrillOwner
from proxy.telemetry.events import DrillSkipped, Emit

_TICK_SECONDS = 1.0


class Appointment(NamedTuple):
    """A drill of every week."""

    at: WeekTime
    drill: Drill


@dataclass(frozen=True, slots=True)
class Timekeeper:
    """`has_stand_in` says whether anybody could answer in place of these upstreams, `appointments` what stands in the
    timetable now; `local_time` reads the clock on the wall.
    """

    owner: DrillOwner
    has_stand_in: Callable[[Collection[str]], bool]
    appointments: Callable[[], Sequence[Appointment]]
    local_time: Callable[[], datetime]
    emit: Emit

    async def run(self) -> None:
        """Look once a second, until cancelled."""
        before = self.local_time()
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = self.local_time()
            await self.look(before, now)
            before = now

    async def look(self, before: datetime, now: datetime) -> None:
        """Begin what has become due."""
        for appointment in self.appointments():
            if appointment.at.was_due(before, now):
                await self._begin(appointment.drill)

    async def _begin(self, drill: Drill) -> None:
        if not self.has_stand_in(drill.upstreams):
            self.emit(DrillSkipped(drill, "nobody could answer in its place"))
        elif await self.owner.start(drill) is None:
            self.emit(DrillSkipped(drill, "another drill runs"))
