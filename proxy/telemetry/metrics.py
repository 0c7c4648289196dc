"""Prometheus metrics (prometheus-client). Label values come from closed sets: configured names and our own enums.

Help texts name the OpenTelemetry GenAI metric that says the same, where there is one.
"""

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from proxy.core.breaker import State
from proxy.core.failover import Tried
from proxy.telemetry.events import (
    AttemptEnded,
    BreakerChanged,
    Event,
    FaultCaught,
    ModelServerChanged,
    Phase,
    RequestEnded,
)

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 300)
"""From a refusal that is answered at once to the longest streams; dense where people wait."""

States = Callable[[], Mapping[str, Mapping[State, int]]]


class Metrics:
    """A sink for events, in a registry of its own."""

    def __init__(self, version: str) -> None:
        registry = self._registry = CollectorRegistry()
        self._requests = Counter(
            "hotspare_requests",
            "Requests from clients, by how they ended for the client.",
            ["endpoint", "result", "upstream"],
            registry=registry,
        )
        self._seconds = Histogram(
            "hotspare_request_duration_seconds",
            "From the head of a request to the end of its answer (OpenTelemetry: gen_ai.client.operation.duration).",
            ["endpoint", "upstream"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._first_content_seconds = Histogram(
            "hotspare_time_to_first_content_seconds",
            "From a streamed request's head to its first content (OpenTelemetry: gen_ai.server.time_to_first_token).",
            ["endpoint", "upstream"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._attempts = Counter(
            "hotspare_attempts", "Exchanges with upstreams, by outcome.", ["upstream", "outcome"], registry=registry
        )
        self._attempt_seconds = Histogram(
            "hotspare_attempt_duration_seconds",
            "From the start of an exchange with an upstream to its end.",
            ["upstream"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._failovers = Counter(
            "hotspare_failovers",
            "Requests that another upstream answered than the one before it in the route, and why.",
            ["from_upstream", "to_upstream", "reason"],
            registry=registry,
        )
        self._losses = Counter(
            "hotspare_degraded_requests",
            "Requests answered without something that they had asked for.",
            ["upstream", "need"],
            registry=registry,
        )
        self._transitions = Counter(
            "hotspare_breaker_transitions", "Changes of circuit breakers.", ["upstream", "state"], registry=registry
        )
        self._phase = Gauge(
            "hotspare_model_server_phase",
            "1 for the phase that the model server is in.",
            ["phase"],
            registry=registry,
        )
        self._starts = Counter("hotspare_model_server_starts", "Starts of the model server.", registry=registry)
        self._faults = Counter(
            "hotspare_faults", "Exceptions that nobody expected: please report them.", ["where"], registry=registry
        )
        Gauge("hotspare_build_info", "Always 1.", ["version"], registry=registry).labels(version).set(1)

    def watch(self, in_flight: Callable[[], float], breakers: States) -> None:
        """Read these at every scrape."""
        gauge = Gauge("hotspare_requests_in_flight", "Requests being served.", registry=self._registry)
        gauge.set_function(in_flight)
        self._registry.register(_Breakers(breakers))

    def expose(self) -> tuple[bytes, str]:
        """The exposition and its content type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    def __call__(self, event: Event) -> None:
        """Count one event."""
        match event:
            case RequestEnded():
                self._count_request(event)
            case AttemptEnded():
                self._attempts.labels(event.upstream, event.outcome.kind).inc()
                self._attempt_seconds.labels(event.upstream).observe(event.seconds)
            case BreakerChanged():
                self._transitions.labels(event.upstream, event.after).inc()
            case ModelServerChanged():
                self._count_phase(event.phase)
            case FaultCaught():
                self._faults.labels(event.where).inc()

    def _count_request(self, event: RequestEnded) -> None:
        upstream = event.upstream or "none"
        self._requests.labels(event.endpoint, event.result, upstream).inc()
        self._seconds.labels(event.endpoint, upstream).observe(event.seconds)
        if event.first_content_seconds is not None:
            self._first_content_seconds.labels(event.endpoint, upstream).observe(event.first_content_seconds)
        if event.upstream:
            self._count_failovers(event.tried, event.upstream)
        for need in event.losses:
            self._losses.labels(upstream, need).inc()

    def _count_failovers(self, tried: tuple[Tried, ...], answered_by: str) -> None:
        followers = [*(each.upstream for each in tried[1:]), answered_by]
        for failed, follower in zip(tried, followers, strict=False):
            if failed.upstream != follower:
                self._failovers.labels(failed.upstream, follower, failed.kind).inc()

    def _count_phase(self, entered: Phase) -> None:
        for phase in Phase:
            self._phase.labels(phase).set(phase is entered)
        if entered is Phase.STARTING:
            self._starts.inc()


class _Breakers(Collector):
    """Counted, not listed: model names come from clients and are no label."""

    def __init__(self, states: States) -> None:
        self._states = states

    def collect(self) -> Iterable[GaugeMetricFamily]:
        text = "Circuit breakers, one for each model asked for, in each state."
        family = GaugeMetricFamily("hotspare_breakers", text, None, ["upstream", "state"])
        for upstream, states in self._states().items():
            for state in State:
                family.add_metric([upstream, state], Tally(states)[state])
        yield family
