"""What is counted for each event, read back from the exposition."""

import pytest
from prometheus_client import CONTENT_TYPE_LATEST
from prometheus_client.parser import text_string_to_metric_families

from proxy.core.action import Tried
from proxy.core.breaker import State
from proxy.core.candidates import Need
from proxy.core.outcome import Kind, Outcome
from proxy.core.phases import Phases
from proxy.core.suspicion import Doubt
from proxy.telemetry.events import (
    AttemptEnded,
    BreakerChanged,
    Endpoint,
    Event,
    FaultCaught,
    ModelServerChanged,
    Phase,
    RequestEnded,
    Result,
    UpstreamSuspected,
    WorkerChanged,
    WorkerPhase,
)
from proxy.telemetry.exposition import exposition
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.page import page
from proxy.telemetry.publisher import Publisher
from proxy.telemetry.tally import merged
from tests.unit.stand_ins import request_ended

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def request(**facts: object) -> RequestEnded:
    """One whose every free text would be noticed in a label."""
    telling: dict[str, object] = {"request_id": "req-secret", "client": "billing", "method": "BREW"}
    return request_ended(**(telling | {"seconds": 3.0, "first_content_seconds": 0.3} | facts))


def attempt(kind: Kind, phases: Phases | None = None) -> AttemptEnded:
    outcome = Outcome(kind, 503, detail="secret")
    return AttemptEnded("req-secret", "acme", 1, outcome, 0.7, None, "req_cloud", "model-of-a-client", phases)


def read(metrics: Metrics) -> Samples:
    return parsed(exposition(metrics.snapshot())[0])


def parsed(text: bytes) -> Samples:
    families = text_string_to_metric_families(text.decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def counted(*events: Event) -> Samples:
    metrics = Metrics("1.2.3")
    for event in events:
        metrics(event)
    return read(metrics)


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, tuple(sorted(labels.items()))))


def test_request_is_counted_by_endpoint_result_and_upstream() -> None:
    seen = counted(request(), request(), request(result=Result.UNAVAILABLE, upstream=None))
    labels = {"endpoint": "chat/completions", "result": "answered", "upstream": "acme"}
    assert value(seen, "hotspare_requests_total", **labels) == 2
    labels = {"endpoint": "chat/completions", "result": "unavailable", "upstream": "none"}
    assert value(seen, "hotspare_requests_total", **labels) == 1


def test_durations_are_observed_in_seconds() -> None:
    seen = counted(request(), request(first_content_seconds=None))
    labels = {"endpoint": "chat/completions", "upstream": "acme"}
    assert value(seen, "hotspare_request_duration_seconds_sum", **labels) == 6.0
    assert value(seen, "hotspare_time_to_first_content_seconds_count", **labels) == 1


def test_attempt_is_counted_by_outcome() -> None:
    seen = counted(attempt(Kind.RESET), attempt(Kind.RESET), attempt(Kind.OK))
    assert value(seen, "hotspare_attempts_total", upstream="acme", outcome="reset") == 2
    assert value(seen, "hotspare_attempts_total", upstream="acme", outcome="ok") == 1
    assert value(seen, "hotspare_attempt_duration_seconds_count", upstream="acme") == 3


def test_new_connection_is_counted_with_what_its_opening_took() -> None:
    phases = Phases(is_reused=False, dns=0.001, connect=0.02, tls=None, first_byte=0.3)
    seen = counted(attempt(Kind.OK, phases))
    assert value(seen, "hotspare_connections_opened_total", upstream="acme") == 1
    assert value(seen, "hotspare_connection_phase_seconds_sum", upstream="acme", phase="dns") == 0.001
    assert value(seen, "hotspare_connection_phase_seconds_sum", upstream="acme", phase="connect") == 0.02
    assert value(seen, "hotspare_connection_phase_seconds_count", upstream="acme", phase="tls") is None
    assert value(seen, "hotspare_first_byte_seconds_sum", upstream="acme") == 0.3


def test_reused_connection_was_not_opened() -> None:
    seen = counted(attempt(Kind.OK, Phases(is_reused=True, dns=None, connect=None, tls=None, first_byte=0.3)))
    assert not any(name.startswith("hotspare_connection") for name, _ in seen)
    assert value(seen, "hotspare_first_byte_seconds_count", upstream="acme") == 1


def test_connection_that_was_refused_was_not_opened() -> None:
    phases = Phases(is_reused=False, dns=0.001, connect=None, tls=None, first_byte=None)
    seen = counted(attempt(Kind.CONNECT, phases))
    assert value(seen, "hotspare_connections_opened_total", upstream="acme") is None
    assert value(seen, "hotspare_connection_phase_seconds_count", upstream="acme", phase="dns") == 1
    assert value(seen, "hotspare_first_byte_seconds_count", upstream="acme") is None


def test_failover_is_counted_from_each_upstream_to_the_one_after_it() -> None:
    tried = (Tried("acme", Kind.SERVER_ERROR, 503), Tried("zeus", Kind.BREAKER_OPEN))
    seen = counted(request(upstream="local", tried=tried))
    labels = {"from_upstream": "acme", "to_upstream": "zeus", "reason": "server_error"}
    assert value(seen, "hotspare_failovers_total", **labels) == 1
    labels = {"from_upstream": "zeus", "to_upstream": "local", "reason": "breaker_open"}
    assert value(seen, "hotspare_failovers_total", **labels) == 1


def test_repeating_the_same_upstream_is_no_failover() -> None:
    seen = counted(request(upstream="local", tried=(Tried("local", Kind.CUT),)))
    assert not any(name == "hotspare_failovers_total" for name, _ in seen)


def test_request_that_nobody_answered_failed_over_to_nobody() -> None:
    seen = counted(request(upstream=None, tried=(Tried("acme", Kind.DNS), Tried("local", Kind.UNAVAILABLE))))
    assert not any(name == "hotspare_failovers_total" for name, _ in seen)


def test_every_loss_is_counted() -> None:
    seen = counted(request(upstream="local", losses=(Need.LOGPROBS, Need.TOOLS)))
    assert value(seen, "hotspare_degraded_requests_total", upstream="local", need="tools") == 1
    assert value(seen, "hotspare_degraded_requests_total", upstream="local", need="logprobs") == 1


def test_breaker_transition_is_counted_by_the_state_entered() -> None:
    seen = counted(BreakerChanged("acme", "model-of-a-client", State.CLOSED, State.OPEN, Kind.RESET))
    assert value(seen, "hotspare_breaker_transitions_total", upstream="acme", state="open") == 1


def test_suspicions_are_counted_by_their_reason() -> None:
    seen = counted(UpstreamSuspected("acme", "", Doubt.CHECK))
    assert value(seen, "hotspare_suspicions_total", upstream="acme", doubt="check") == 1


def test_model_server_is_in_one_phase_at_a_time() -> None:
    seen = counted(ModelServerChanged(Phase.STARTING), ModelServerChanged(Phase.READY, "model=/secret/path"))
    assert {phase: value(seen, "hotspare_model_server_phase", phase=phase) for phase in Phase} == {
        phase: float(phase is Phase.READY) for phase in Phase
    }


def test_starts_of_the_model_server_are_counted() -> None:
    seen = counted(*[ModelServerChanged(Phase.STARTING), ModelServerChanged(Phase.DOWN)] * 3)
    assert value(seen, "hotspare_model_server_starts_total") == 3


def test_workers_are_counted_by_the_phase_that_each_is_in() -> None:
    replaced = [(1, WorkerPhase.READY), (2, WorkerPhase.STARTED), (2, WorkerPhase.READY), (1, WorkerPhase.DRAINING)]
    seen = counted(*[WorkerChanged(number, phase) for number, phase in replaced])
    assert [value(seen, "hotspare_workers", phase=phase) for phase in ("started", "ready", "draining")] == [0, 1, 1]


@pytest.mark.parametrize(("last", "restarts"), [(WorkerPhase.READY, 1), (WorkerPhase.DRAINING, 0)])
def test_worker_that_ended_unasked_counts_as_a_restart(last: WorkerPhase, restarts: int) -> None:
    seen = counted(WorkerChanged(1, last), WorkerChanged(1, WorkerPhase.ENDED, "killed by SIGKILL"))
    assert value(seen, "hotspare_worker_restarts_total") == restarts
    assert value(seen, "hotspare_workers", phase="ready") == 0


def test_fault_is_counted_by_where_it_was_caught() -> None:
    assert value(counted(FaultCaught("request", KeyError("secret"))), "hotspare_faults_total", where="request") == 1


def test_breakers_and_requests_in_flight_are_read_at_every_scrape() -> None:
    metrics, in_flight, states = Metrics("1.2.3"), [3.0], {"acme": {State.OPEN: 2}, "local": {}}
    metrics.watch(lambda: in_flight[0], lambda: states)
    assert value(read(metrics), "hotspare_requests_in_flight") == 3
    in_flight[0], states["acme"] = 1.0, {State.CLOSED: 2}
    seen = read(metrics)
    assert value(seen, "hotspare_requests_in_flight") == 1
    assert value(seen, "hotspare_breakers", upstream="acme", state="closed") == 2
    assert value(seen, "hotspare_breakers", upstream="acme", state="open") == 0


def test_gauges_of_many_processes_are_one() -> None:
    one, two = Metrics("1.2.3"), Metrics("1.2.3")
    one.watch(lambda: 3.0, lambda: {"acme": {State.CLOSED: 1}})
    two.watch(lambda: 4.0, lambda: {"acme": {State.CLOSED: 1, State.OPEN: 1}})
    one(ModelServerChanged(Phase.READY))
    seen = parsed(exposition(merged([one.snapshot(), two.snapshot()]))[0])
    assert value(seen, "hotspare_requests_in_flight") == 7
    assert value(seen, "hotspare_breakers", upstream="acme", state="closed") == 1
    assert value(seen, "hotspare_breakers", upstream="acme", state="open") == 1
    assert value(seen, "hotspare_model_server_phase", phase="ready") == 1


def test_content_type_is_prometheuss() -> None:
    assert exposition(Metrics("1").snapshot())[1] == CONTENT_TYPE_LATEST


def test_build_is_named() -> None:
    assert value(counted(), "hotspare_build_info", version="1.2.3") == 1


CLOSED_SETS = {
    "endpoint": {*Endpoint},
    "result": {*Result},
    "upstream": {"acme", "zeus", "local", "none"},
    "from_upstream": {"acme", "zeus", "local"},
    "to_upstream": {"acme", "zeus", "local"},
    "outcome": {*Kind},
    "reason": {*Kind},
    "need": {*Need},
    "state": {*State},
    "phase": {*Phase, *WorkerPhase, "dns", "connect", "tls"},
    "doubt": {*Doubt},
    "where": {"request", "probe", "check"},
    "version": {"1.2.3"},
}


def everything() -> list[Event]:
    return [
        request(),
        request(upstream="local", tried=(Tried("acme", Kind.DNS),), losses=(Need.TOOLS,)),
        attempt(Kind.STALL, Phases(is_reused=False, dns=0.1, connect=0.1, tls=0.1, first_byte=0.1)),
        WorkerChanged(1, WorkerPhase.ENDED, "secret"),
        BreakerChanged("acme", "model-of-a-client", State.CLOSED, State.OPEN, Kind.RESET),
        UpstreamSuspected("acme", "model-of-a-client", Doubt.RATIO),
        ModelServerChanged(Phase.DOWN, "secret"),
        FaultCaught("probe", KeyError("secret")),
    ]


def test_every_label_has_a_closed_set() -> None:
    labels = [label for _, labels in counted(*everything()) for label in labels if label[0] != "le"]
    assert [(name, said) for name, said in labels if said not in CLOSED_SETS[name]] == []


@pytest.mark.parametrize("word", ["secret", "model-of-a-client", "BREW", "billing", "req_cloud"])
def test_nothing_that_comes_from_a_client_or_an_error_is_exposed(word: str) -> None:
    metrics = Metrics("1.2.3")
    for event in everything():
        metrics(event)
    assert word not in exposition(metrics.snapshot())[0].decode()


def test_every_metric_is_ours_and_is_explained() -> None:
    families = list(text_string_to_metric_families(exposition(Metrics("1").snapshot())[0].decode()))
    assert all(family.name.startswith("hotspare_") and family.documentation for family in families)


def test_two_registries_do_not_share_anything() -> None:
    counted(request())
    assert not any(name == "hotspare_requests_total" for name, _ in counted())


def test_one_event_reaches_every_sink() -> None:
    first, second = list[Event](), list[Event]()
    event = ModelServerChanged(Phase.READY)
    Publisher(first.append, second.append)(event)
    assert (first, second) == ([event], [event])


async def test_page_is_the_exposition() -> None:
    snapshot = Metrics("1").snapshot()
    assert await page(snapshot) == exposition(snapshot)
