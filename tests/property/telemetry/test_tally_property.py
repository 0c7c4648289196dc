"""However events are spread over processes, what is exposed of all of them is what one process would have exposed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from proxy.core.action import Tried
from proxy.core.outcome import Kind, Outcome
from proxy.core.phases import Phases
from proxy.telemetry.events import AttemptEnded, Event, Result
from proxy.telemetry.exposition import exposition
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.tally import Snapshot, decode_snapshot, encode_snapshot, merged
from tests.unit.stand_ins import request_ended

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]

seconds = st.floats(0, 400)
upstreams = st.sampled_from(["acme", "zeus"])
phases = st.builds(
    Phases,
    is_reused=st.booleans(),
    dns=st.none() | seconds,
    connect=st.none() | seconds,
    tls=st.none(),
    first_byte=st.none() | seconds,
)
attempts = st.builds(
    AttemptEnded,
    request_id=st.just("req-1"),
    upstream=upstreams,
    number=st.just(1),
    outcome=st.builds(Outcome, st.sampled_from(Kind)),
    seconds=seconds,
    first_content_seconds=st.none(),
    upstream_request_id=st.none(),
    model=st.just("gpt-5"),
    phases=st.none() | phases,
)
requests = st.builds(
    request_ended,
    upstream=st.none() | upstreams,
    result=st.sampled_from(Result),
    seconds=seconds,
    first_content_seconds=st.none() | seconds,
    tried=st.lists(st.builds(Tried, upstreams, st.sampled_from(Kind)), max_size=2).map(tuple),
)
traces = st.lists(attempts | requests, max_size=8)


def counted(events: list[Event]) -> Snapshot:
    metrics = Metrics("1")
    for event in events:
        metrics(event)
    return metrics.snapshot()


def samples(snapshot: Snapshot) -> Samples:
    families = text_string_to_metric_families(exposition(snapshot)[0].decode())
    return {(each.name, tuple(each.labels.items())): each.value for family in families for each in family.samples}


@settings(max_examples=20)
@given(st.lists(traces, max_size=3))
def test_merged_snapshots_expose_what_one_process_would_have(shares: list[list[Event]]) -> None:
    apart = samples(merged([counted([]), *map(counted, shares)]))
    together = samples(counted([event for share in shares for event in share]))
    assert apart == pytest.approx(together)


@settings(max_examples=20)
@given(traces)
def test_buckets_are_cumulative_and_the_last_holds_all(events: list[Event]) -> None:
    exposed = samples(counted(events))
    for (name, labels), count in exposed.items():
        if name.endswith("_seconds_count"):
            wanted = name.replace("_count", "_bucket")
            buckets = [value for (each, with_le), value in exposed.items() if each == wanted and {*labels} < {*with_le}]
            assert buckets == sorted(buckets)
            assert buckets[-1] == count


@settings(max_examples=20)
@given(traces)
def test_snapshot_survives_the_way_to_another_process(events: list[Event]) -> None:
    snapshot = counted(events)
    assert decode_snapshot(encode_snapshot(snapshot)) == snapshot
