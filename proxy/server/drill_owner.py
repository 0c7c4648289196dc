"""Who says which drill runs: this process if it is alone, the fleet for all of its workers."""

from dataclasses import dataclass
from typing import Protocol

from proxy.core.drill_report import Drill, End, Report
from proxy.errors import HotspareError
from proxy.server.drillmaster import Drillmaster


class OwnerSilent(HotspareError):
    """Whoever owns the drills does not answer. What was ordered may be carried out all the same."""


class DrillOwner(Protocol):
    """What the page and the timetable ask. All raise OwnerSilent."""

    async def start(self, drill: Drill) -> Report | None:
        """Begin, now; None while another drill runs."""
        ...

    async def stop(self) -> list[Report]:
        """End what runs; the same answer as `reports`."""
        ...

    async def reports(self) -> list[Report]:
        """Of the last drills, oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class SoleOwner:
    """Of a process that is alone: its own drillmaster."""

    master: Drillmaster

    async def start(self, drill: Drill) -> Report | None:
        """Begin, now; None while another drill runs."""
        return self.master.start(drill)

    async def stop(self) -> list[Report]:
        """End what runs."""
        self.master.stop(End.ASKED)
        return self.master.reports()

    async def reports(self) -> list[Report]:
        """Of the last drills, oldest first."""
        return self.master.reports()
