"""What is counted of each event.

A healthy request is two events, and counting both takes about a microsecond: the counters and histograms that such an
event feeds are looked up together, once, and found again by one key.
"""

from collections import Counter as Census
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from proxy.core.action import Tried
from proxy.core.breaker import State
from proxy.core.phases import Phases
from proxy.telemetry import families
from proxy.telemetry.events import (
    AttemptEnded,
    BreakerChanged,
    Event,
    FaultCaught,
    ModelServerChanged,
    Phase,
    RequestEnded,
    UpstreamSuspected,
    WorkerChanged,
    WorkerPhase,
)
from proxy.telemetry.families import Family, HistogramFamily
from proxy.telemetry.tally import Count, Histogram, Snapshot, Tally, Values

States = Callable[[], Mapping[str, Mapping[State, int]]]

_NOBODY = "none"


@dataclass(slots=True)
class _RequestSeries:
    requests: Count
    seconds: Histogram
    first_content_seconds: Histogram


@dataclass(slots=True)
class _AttemptSeries:
    attempts: Count
    seconds: Histogram
    first_byte_seconds: Histogram


class Metrics:
    """A sink for events. Use it from one thread."""

    def __init__(self, version: str) -> None:
        self._tally = Tally()
        self._requests: dict[tuple[str, str, str | None], _RequestSeries] = {}
        self._attempts: dict[tuple[str, str], _AttemptSeries] = {}
        self._peaks: Values = {families.BUILD_INFO.name: {(version,): 1.0}}
        self._workers: dict[int, WorkerPhase] = {}
        self._gauges: Callable[[], Snapshot] = Snapshot
        self._starts = self._count(families.MODEL_SERVER_STARTS)
        self._restarts = self._count(families.WORKER_RESTARTS)

    def watch(self, in_flight: Callable[[], float], breakers: States) -> None:
        """Read these at every snapshot."""
        self._gauges = lambda: Snapshot(
            levels={families.IN_FLIGHT.name: {(): in_flight()}},
            peaks={families.BREAKERS.name: _breakers(breakers())},
        )

    def snapshot(self) -> Snapshot:
        """All that was counted, and the gauges as they are now."""
        counted, gauges = self._tally.snapshot(), self._gauges()
        counted.levels = gauges.levels
        counted.peaks = self._peaks | gauges.peaks
        return counted

    def __call__(self, event: Event) -> None:
        """Count one event."""
        if isinstance(event, AttemptEnded):
            self._count_attempt(event)
        elif isinstance(event, RequestEnded):
            self._count_request(event)
        else:
            self._count_rarity(event)

    def _count_rarity(self, event: Event) -> None:
        match event:
            case BreakerChanged():
                self._count(families.BREAKER_TRANSITIONS, event.upstream, event.after).value += 1
            case UpstreamSuspected():
                self._count(families.SUSPICIONS, event.upstream, event.doubt).value += 1
            case ModelServerChanged():
                self._count_phase(event.phase)
            case FaultCaught():
                self._count(families.FAULTS, event.where).value += 1
            case WorkerChanged():
                self._count_worker(event)

    # ---- requests

    def _count_request(self, event: RequestEnded) -> None:
        series = self._requests.get((event.endpoint, event.result, event.upstream))
        if series is None:
            series = self._add_request_series(event)
        series.requests.value += 1
        series.seconds.observe(event.seconds)
        if event.first_content_seconds is not None:
            series.first_content_seconds.observe(event.first_content_seconds)
        if event.tried and event.upstream:
            self._count_failovers(event.tried, event.resumed_by or event.upstream)
        if event.resumed_by:
            self._count(families.RESUMED_STREAMS, event.upstream or _NOBODY, event.resumed_by).value += 1
        for need in event.losses:
            self._count(families.DEGRADED_REQUESTS, event.upstream or _NOBODY, need).value += 1

    def _add_request_series(self, event: RequestEnded) -> _RequestSeries:
        upstream = event.upstream or _NOBODY
        series = self._requests[event.endpoint, event.result, event.upstream] = _RequestSeries(
            self._count(families.REQUESTS, event.endpoint, event.result, upstream),
            self._histogram(families.REQUEST_DURATION, event.endpoint, upstream),
            self._histogram(families.TIME_TO_FIRST_CONTENT, event.endpoint, upstream),
        )
        return series

    def _count_failovers(self, tried: tuple[Tried, ...], answered_by: str) -> None:
        followers = [*(each.upstream for each in tried[1:]), answered_by]
        for failed, follower in zip(tried, followers, strict=True):
            if failed.upstream != follower:
                self._count(families.FAILOVERS, failed.upstream, follower, failed.kind).value += 1

    # ---- attempts

    def _count_attempt(self, event: AttemptEnded) -> None:
        kind = event.outcome.kind
        series = self._attempts.get((event.upstream, kind))
        if series is None:
            series = self._add_attempt_series(event)
        series.attempts.value += 1
        series.seconds.observe(event.seconds)
        phases = event.phases
        if phases is None:
            return
        if phases.first_byte is not None:
            series.first_byte_seconds.observe(phases.first_byte)
        if not phases.is_reused:
            self._count_connection(event.upstream, phases)

    def _add_attempt_series(self, event: AttemptEnded) -> _AttemptSeries:
        series = self._attempts[event.upstream, event.outcome.kind] = _AttemptSeries(
            self._count(families.ATTEMPTS, event.upstream, event.outcome.kind),
            self._histogram(families.ATTEMPT_DURATION, event.upstream),
            self._histogram(families.FIRST_BYTE, event.upstream),
        )
        return series

    def _count_connection(self, upstream: str, phases: Phases) -> None:
        """An attempt that got no connection has the phases before the one that failed, and no first byte."""
        steps = {"dns": phases.dns, "connect": phases.connect, "tls": phases.tls}
        for step, seconds in steps.items():
            if seconds is not None:
                self._histogram(families.CONNECTION_PHASE, upstream, step).observe(seconds)
        if phases.connect is not None:
            self._count(families.CONNECTIONS_OPENED, upstream).value += 1

    # ---- what changes rarely

    def _count_phase(self, entered: Phase) -> None:
        self._peaks[families.MODEL_SERVER_PHASE.name] = {(phase,): float(phase is entered) for phase in Phase}
        if entered is Phase.STARTING:
            self._starts.value += 1

    def _count_worker(self, event: WorkerChanged) -> None:
        before = self._workers.pop(event.number, None)
        if event.phase is not WorkerPhase.ENDED:
            self._workers[event.number] = event.phase
        elif before is not WorkerPhase.DRAINING:
            self._restarts.value += 1
        census = Census(self._workers.values())
        living = [phase for phase in WorkerPhase if phase is not WorkerPhase.ENDED]
        self._peaks[families.WORKERS.name] = {(phase,): float(census[phase]) for phase in living}

    # ---- series

    def _count(self, family: Family, *labels: str) -> Count:
        return self._tally.count(family.name, *labels)

    def _histogram(self, family: HistogramFamily, *labels: str) -> Histogram:
        return self._tally.histogram(family.name, family.bounds, *labels)


def _breakers(states: Mapping[str, Mapping[State, int]]) -> dict[tuple[str, ...], float]:
    """Counted, not listed: model names come from clients and are no label."""
    return {(upstream, state): float(counts.get(state, 0)) for upstream, counts in states.items() for state in State}
