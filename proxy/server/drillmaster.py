"""Who performs a drill: puts the saboteurs in place and takes them away, and hears what comes of it.

A drill ends by its own clock, when it is asked to, when a request fails, and when nobody is left who could answer;
whichever comes first. Nobody outside this process has to be alive for that.
"""

import asyncio
import random
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from proxy.clock import Clock
from proxy.core.drill import Drills
from proxy.core.drill_findings import Findings
from proxy.core.drill_record import AttemptFact, Fate, Record, RequestFact
from proxy.core.drill_report import Drill, End, Report, Shape
from proxy.telemetry.events import (
    AttemptEnded,
    BreakerChanged,
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
    """`has_stand_in` says whether anybody could answer in place of these upstreams. `tell` hears when a drill has begun
    or ended here, and when its upstreams are back.
    """

    pool: Pool
    has_stand_in: Callable[[Collection[str]], bool]
    rng: random.Random
    clock: Clock
    tell: Callable[[Record], None]
    drills: Drills = field(default_factory=Drills)
    _running: Record | None = None
    """Its end is not told yet."""
    _saboteurs: tuple[Saboteur, ...] = ()
    _timer: asyncio.TimerHandle | None = None

    def start(self, drill: Drill) -> Report | None:
        """Begin, now; None while another drill runs."""
        now = self.clock.monotonic()
        if self.drills.running(now) is None:
            self.stop(End.TIME)  # the timer of the one before may be late
        record = self.drills.start(drill, now)
        if record is None:
            return None
        self._begin(record, now)
        return record.report(now)

    def join(self, number: int, drill: Drill, began_at: float) -> None:
        """Take part in a drill of the fleet's, if that is news. An upstream that is not here, as this worker's
        configuration is another one, is left out.
        """
        last, now = self.drills.last, self.clock.monotonic()
        if last is None or last.number != number:
            self.stop(End.ASKED)  # the fleet runs one at a time
            self._begin(self.drills.join(number, drill, began_at), now)

    def stop(self, end: End, at: float | None = None) -> None:
        """End what runs, now or as of that monotonic instant."""
        self.drills.stop(end, self.clock.monotonic() if at is None else at)
        record, self._running = self._running, None
        if record is not None:
            self._put_away()
            self.tell(record)

    def withdraw(self) -> None:
        """Break nothing more, though the drill may go on elsewhere. What runs here still counts."""
        self._put_away()

    def reports(self) -> list[Report]:
        """Of the last drills, oldest first."""
        now = self.clock.monotonic()
        self.drills.running(now)
        return [record.report(now) for record in self.drills]

    def findings(self) -> tuple[int, Findings] | None:
        """The number of the last drill, and what has been seen of it here."""
        last = self.drills.last
        return (last.number, last.findings) if last else None

    def hear(self, event: Event) -> None:
        """What happens in the proxy."""
        record = self.drills.last
        now = self.clock.monotonic()
        if record is None or record.is_closed(now):
            return
        match event:
            case AttemptEnded():
                record.attempt(_attempt_fact(event))
            case RequestEnded():
                record.request(_request_fact(event), now)
                self._stop_if_it_harms(record)
            case ModelServerChanged():
                self._stop_if_it_harms(record)
            case BreakerChanged():
                self._note_breaker(record, event, now)

    def look(self) -> None:
        """Something has changed that no event tells of: a breaker, as another worker's did, or the fleet's spare."""
        record, now = self.drills.last, self.clock.monotonic()
        if record is not None and not record.is_closed(now):
            with self._telling_of_return(record):
                record.held_back(self._ill(), now)
            self._stop_if_it_harms(record)

    def _note_breaker(self, record: Record, event: BreakerChanged, now: float) -> None:
        with self._telling_of_return(record):
            record.breaker(event.upstream, event.model, event.after, now)

    @contextmanager
    def _telling_of_return(self, record: Record) -> Iterator[None]:
        was_over = record.is_over
        yield
        if record.is_over and not was_over:
            self.tell(record)

    def _stop_if_it_harms(self, record: Record) -> None:
        if self._running and (record.failed or not self.has_stand_in(self._here(record.drill))):
            self.stop(End.FAILURE)

    def _begin(self, record: Record, now: float) -> None:
        self._running = record
        record.held_back(self._ill(), now)
        self._saboteurs = tuple(self._tamper_with(name) for name in self._here(record.drill))
        self._timer = asyncio.get_running_loop().call_later(record.ends_at - now, self.stop, End.TIME)
        self.tell(record)

    def _here(self, drill: Drill) -> list[str]:
        known = {upstream.name for upstream in self.pool}
        return [name for name in drill.upstreams if name in known]

    def _ill(self) -> list[tuple[str, str]]:
        return [(key.upstream, key.model) for key, _ in self.pool.ill()]

    def _tamper_with(self, upstream: str) -> Saboteur:
        saboteur = Saboteur(partial(self._pick, upstream), self.rng, self.clock)
        self.pool[upstream].sabotage = saboteur
        return saboteur

    def _pick(self, upstream: str, model: str, draw: float) -> Shape | None:
        return self.drills.shape(upstream, model, draw, self.clock.monotonic())

    def _put_away(self) -> None:
        """From all of them: an upstream without a drill has none to look at."""
        for upstream in self.pool:
            upstream.sabotage = None
        if self._timer is not None:
            self._timer.cancel()
        saboteurs, self._saboteurs, self._timer = self._saboteurs, (), None
        # Who hears of events may be called in the middle of a request: no other one may go on from there.
        for saboteur in saboteurs:
            asyncio.get_running_loop().call_soon(saboteur.release)


def _attempt_fact(event: AttemptEnded) -> AttemptFact:
    seconds, content_seconds = event.seconds, event.first_content_seconds
    return AttemptFact(event.request_id, event.upstream, event.model, event.outcome, seconds, content_seconds)


def _request_fact(event: RequestEnded) -> RequestFact:
    fate = _FATES.get(event.result, Fate.ANSWERED)
    seconds = event.seconds if event.first_content_seconds is None else event.first_content_seconds
    who, model = event.upstream, event.model or ""
    return RequestFact(event.request_id, who, model, event.tried, event.resumed_by, fate, seconds)
