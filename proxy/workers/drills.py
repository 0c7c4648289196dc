"""Drills of a whole fleet: the parent says which one runs, the workers perform it and tell what they find.

Each worker ends a drill at its time by itself, whether it still hears from here or not. The log has one line for all.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Protocol

from proxy.clock import Clock
from proxy.core.drill_findings import Findings
from proxy.core.drill_joint import JointRecord
from proxy.core.drill_report import Drill, End, Report
from proxy.core.drill_series import Series
from proxy.telemetry.events import DrillChanged, Emit
from proxy.workers.messages import (
    DrillHarmed,
    DrillOrdered,
    DrillQuestion,
    DrillReports,
    DrillsAsked,
    DrillSeen,
    DrillStopped,
)


class Participant(Protocol):
    """A worker. Numbers never repeat."""

    number: int

    def send(self, message: DrillSeen | DrillReports) -> None:
        """Tell it something."""
        ...


class FleetDrills:
    """The owner of which drill runs. `collect` has all workers report anew, and waits for that, but not for long."""

    def __init__(self, collect: Callable[[], Awaitable[None]], clock: Clock, emit: Emit) -> None:
        self._collect = collect
        self._clock = clock
        self._emit = emit
        self._members: list[Participant] = []
        self._series = Series(JointRecord)
        self._running: JointRecord | None = None
        self._returning: JointRecord | None = None
        """Its end is told, and the upstream is not back yet."""
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # ---- whoever orders drills

    async def start(self, drill: Drill) -> Report | None:
        """Begin, now; None while another drill runs."""
        now = self._clock.monotonic()
        if self._series.running(now) is None:
            self._end(End.TIME, now)  # the timer of the one before may be late
        record = self._series.start(drill, now)
        if record is None:
            return None
        self._running, self._returning = record, None
        for member in self._members:
            record.expect(member.number)
            member.send(_seen(record))
        self._timer = asyncio.get_running_loop().call_later(drill.seconds, self._end, End.TIME)
        self._tell(record)
        return record.report(now)

    async def stop(self) -> list[Report]:
        """End what runs; the reports behind that."""
        self._end(End.ASKED)
        return await self.reports()

    async def reports(self) -> list[Report]:
        """Of the last drills, oldest first, with what the workers have found by now."""
        last = self._series.last
        if last and not last.is_closed(self._clock.monotonic()):
            await self._collect()
        now = self._clock.monotonic()
        self._series.running(now)
        return [record.report(now) for record in self._series]

    async def close(self) -> None:
        """End what runs, and say so."""
        self._end(End.ASKED)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ---- the workers

    def join(self, member: Participant) -> None:
        """A worker has begun: it takes part in what runs, and watches what has run."""
        self._members.append(member)
        if last := self._series.last:
            last.expect(member.number)
            member.send(_seen(last))

    def leave(self, member: Participant) -> None:
        """A worker has ended. What it found goes on counting."""
        self._members.remove(member)
        for record in self._series:
            record.gone(member.number)
        self._look_whether_back()

    def hear(self, member: Participant, message: DrillQuestion | DrillHarmed) -> None:
        """Act on what a worker says."""
        if isinstance(message, DrillHarmed):
            self._end_harmful(message)
        else:
            self._spawn(self._answer(member, message))

    def found(self, member: Participant, told: tuple[int, Findings] | None) -> None:
        """What a worker has found of the drill of that number; None if it takes no part in any."""
        number, findings = told or (None, None)
        for record in self._series:
            if record.number == number or (number is None and record is self._series.last):
                record.found(member.number, findings)
        self._look_whether_back()

    def _end_harmful(self, message: DrillHarmed) -> None:
        """At the instant at which the worker ended it. Others may tell of the same drill, or of one long over."""
        if self._running and self._running.number == message.number:
            self._end(End.FAILURE, message.at)

    async def _answer(self, member: Participant, question: DrillQuestion) -> None:
        member.send(DrillReports(question.number, await self._carry_out(question)))

    async def _carry_out(self, question: DrillQuestion) -> list[Report]:
        match question:
            case DrillOrdered():
                report = await self.start(question.drill)
                return [report] if report else []
            case DrillStopped():
                return await self.stop()
            case DrillsAsked():
                return await self.reports()

    # ---- the end

    def _end(self, end: End, at: float | None = None) -> None:
        self._series.stop(end, self._clock.monotonic() if at is None else at)
        record, self._running = self._running, None
        if record is None:
            return
        if self._timer:
            self._timer.cancel()
        for member in self._members:
            member.send(_seen(record))
        self._spawn(self._tell_end(record))

    async def _tell_end(self, record: JointRecord) -> None:
        await self._collect()
        self._tell(record)
        if record is self._series.last and not record.is_over:
            self._returning = record

    def _look_whether_back(self) -> None:
        record = self._returning
        if record and record.is_over:
            self._returning = None
            self._tell(record)

    def _tell(self, record: JointRecord) -> None:
        self._emit(DrillChanged(record.report(self._clock.monotonic())))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _seen(record: JointRecord) -> DrillSeen:
    return DrillSeen(record.number, record.drill, record.began_at, record.end, record.ended_at)
