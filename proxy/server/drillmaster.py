"""Who performs a drill: puts the saboteur in place and takes it away, and hears what comes of it.

A drill ends by its own clock, when it is asked to, when a request fails, and when nobody is left who could answer;
whichever comes first. Nobody outside this process has to be alive for that.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from proxy.clock import Clock
from proxy.core.drill import Drills
from proxy.core.drill_record import Fate, Record, RequestFact
from proxy.core.drill_report import Drill, End, Report
from proxy.telemetry.events import (
    AttemptEnded,
    BreakerChanged,
    DrillChanged,
    Emit,
    Event,
    ModelServerChanged,
    RequestEnded,
    Result,
)
from proxy.upstreams.pool import Pool
from proxy.upstreams.sabotage import Saboteur

_FATES = {
    Result.UNAVAILABLE: Fate.FAILED,
    Result.BROKEN_OFF: Fate.FAILED,
    Result.FAULT: Fate.FAILED,
    Result.CLIENT_GONE: Fate.LEFT,
}


@dataclass(slots=True, eq=False)
class Drillmaster:
    """`has_stand_in` says whether anybody could answer in place of an upstream."""

    pool: Pool
    has_stand_in: Callable[[str], bool]
    rng: random.Random
    clock: Clock
    emit: Emit
    drills: Drills = field(default_factory=Drills)
    _saboteur: Saboteur | None = None
    _timer: asyncio.TimerHandle | None = None

    def start(self, drill: Drill) -> Report | None:
        """Begin, now; None while another drill runs."""
        now = self.clock.monotonic()
        if self.drills.running(now) is None:
            self.stop(End.TIME)  # the timer of the one before may be late
        record = self.drills.start(drill, now)
        if record is None:
            return None
        self._saboteur = Saboteur(
            lambda draw: self.drills.shape(drill.upstream, draw, self.clock.monotonic()), self.rng, self.clock
        )
        self.pool[drill.upstream].sabotage = self._saboteur
        self._timer = asyncio.get_running_loop().call_later(drill.seconds, self.stop, End.TIME)
        self._tell(record)
        return record.report(now)

    def stop(self, end: End) -> None:
        """End what runs, now."""
        self.drills.stop(end, self.clock.monotonic())
        last = self.drills.last
        if self._saboteur is not None and last is not None:
            self._put_away(self._saboteur)
            self._tell(last)

    def reports(self) -> list[Report]:
        """Of the last drills, oldest first."""
        now = self.clock.monotonic()
        self.drills.running(now)
        return [record.report(now) for record in self.drills]

    def hear(self, event: Event) -> None:
        """What happens in the proxy."""
        record = self.drills.last
        now = self.clock.monotonic()
        if record is None or record.is_closed(now):
            return
        match event:
            case AttemptEnded():
                record.attempt(
                    event.request_id, event.upstream, event.outcome, event.seconds, event.first_content_seconds
                )
            case RequestEnded():
                record.request(_fact(event), now)
                self._stop_if_it_harms(record)
            case ModelServerChanged():
                self._stop_if_it_harms(record)
            case BreakerChanged():
                self._note_breaker(record, event, now)

    def _note_breaker(self, record: Record, event: BreakerChanged, now: float) -> None:
        was_over = record.is_over
        record.breaker(event.upstream, event.model, event.after, now)
        if record.is_over and not was_over:
            self._tell(record)

    def _stop_if_it_harms(self, record: Record) -> None:
        if self._saboteur and (record.failed or not self.has_stand_in(record.drill.upstream)):
            self.stop(End.FAILURE)

    def _put_away(self, saboteur: Saboteur) -> None:
        """From all of them: an upstream without a drill has none to look at."""
        for upstream in self.pool:
            upstream.sabotage = None
        if self._timer is not None:
            self._timer.cancel()
        self._saboteur = self._timer = None
        # Who hears of events may be called in the middle of a request: no other one may go on from there.
        asyncio.get_running_loop().call_soon(saboteur.release)

    def _tell(self, record: Record) -> None:
        self.emit(DrillChanged(record.report(self.clock.monotonic())))


def _fact(event: RequestEnded) -> RequestFact:
    fate = _FATES.get(event.result, Fate.ANSWERED)
    seconds = event.seconds if event.first_content_seconds is None else event.first_content_seconds
    return RequestFact(event.request_id, event.upstream, event.tried, event.resumed_by, fate, seconds)
