"""A worker's side of the fleet's drills: its page orders them there, and it takes part in what the fleet says."""

from collections.abc import Callable
from typing import Final

from proxy.core.drill_record import Record
from proxy.core.drill_report import Drill, End, Report
from proxy.server.drill_owner import OwnerSilent
from proxy.server.drillmaster import Drillmaster
from proxy.workers.messages import DrillHarmed, DrillOrdered, DrillsAsked, DrillSeen, DrillStopped, Message
from proxy.workers.questions import Questions

ANSWER_SECONDS: Final = 5.0
"""How long the fleet may take. It waits half a second for a worker that hangs, and otherwise for nobody."""


class RemoteDrills:
    """A DrillOwner. `send` is the way to the fleet."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._send = send
        self._questions = Questions[list[Report]](send)

    async def start(self, drill: Drill) -> Report | None:
        """Have it begin in all workers; None while another drill runs. Raises OwnerSilent."""
        reports = await self._ask(lambda number: DrillOrdered(number, drill))
        return reports[0] if reports else None

    async def stop(self) -> list[Report]:
        """Have it end in all workers; the reports behind that. Raises OwnerSilent."""
        return await self._ask(DrillStopped)

    async def reports(self) -> list[Report]:
        """Of the last drills, oldest first, by what all workers have found. Raises OwnerSilent."""
        return await self._ask(DrillsAsked)

    def answer(self, number: int, reports: list[Report]) -> None:
        """What the fleet says to the question of that number."""
        self._questions.answer(number, reports)

    def tell(self, record: Record) -> None:
        """A drill has begun or ended in this worker, or its upstream is back. The fleet hears of that with the next
        report, and of harm at once; of what was harmed elsewhere it knows already."""
        if record.end is End.FAILURE and record.ended_at is not None:
            self._send(DrillHarmed(record.number, record.ended_at))

    async def _ask(self, question: Callable[[int], Message]) -> list[Report]:
        try:
            return await self._questions.ask(question, ANSWER_SECONDS)
        except TimeoutError:
            raise OwnerSilent("the parent of the workers does not answer") from None


def follow(master: Drillmaster, seen: DrillSeen) -> None:
    """Have this worker's drill be as the fleet's is."""
    master.join(seen.number, seen.drill, seen.began_at)
    if seen.end is not None:
        master.stop(seen.end, seen.ended_at)
