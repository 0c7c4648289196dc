"""What crosses a link comes out as it went in, in pieces of any size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.breaker import State
from proxy.core.drill_findings import Findings
from proxy.core.drill_record import Record
from proxy.core.drill_report import Drill, End, Shape
from proxy.core.outcome import Kind
from proxy.telemetry.events import Phase
from proxy.workers.messages import (
    Begin,
    BreakerMoved,
    Counted,
    Doubted,
    Drain,
    DrillHarmed,
    DrillOrdered,
    DrillReports,
    DrillsAsked,
    DrillSeen,
    DrillStopped,
    Exposition,
    Failed,
    Inbox,
    ModelServerSeen,
    Noted,
    OutOfStep,
    Ready,
    Recovered,
    Report,
    Scrape,
    ToFleet,
    ToWorker,
    Wanted,
    decode_to_fleet,
    decode_to_worker,
    encode,
)

DRILL = Drill(("acme", "local"), Shape.CUT, 0.25, 60.0, "gpt-5")
NEWS = [
    BreakerMoved("acme", "gpt-5", "chat/completions", State.OPEN, 10.0),
    Failed("acme", "gpt-5", "completions", Kind.RESET),
    Recovered("acme", "gpt-5"),
]
TO_WORKER = [
    Begin(3, "hotspare.yaml", "workers: 2", "workers: 2\n", "unix:///tmp/model.sock"),
    Drain(5.0),
    ModelServerSeen(Phase.READY, {"model": "m", "context": 8192, "load_seconds": 0.3}, "", True, False),
    Report(7),
    Exposition(7, b"# HELP", "text/plain"),
    DrillSeen(2, DRILL, 1000.5, None, None),
    DrillSeen(2, DRILL, 1000.5, End.FAILURE, 1004.25),
    DrillReports(7, [Record(2, DRILL, 1000.5).report(1001.0)]),
    *NEWS,
]
TO_FLEET = [
    Ready(),
    Counted(7, b"snapshot", {"acme": {State.CLOSED: 3}}),
    Counted(7, b"snapshot", {}, (2, Findings(broken=3, broken_at=1001.0))),
    Doubted(),
    Wanted(),
    Noted("app", b"[]"),
    Scrape(7),
    DrillOrdered(7, DRILL),
    DrillStopped(7),
    DrillsAsked(7),
    DrillHarmed(2, 1004.25),
    *NEWS,
]


def payload_of(message: ToWorker | ToFleet) -> bytes:
    (payload,) = Inbox().feed(encode(message))
    return payload


@pytest.mark.parametrize("message", TO_WORKER)
def test_what_the_fleet_says_arrives_as_it_was_said(message: ToWorker) -> None:
    assert decode_to_worker(payload_of(message)) == message


@pytest.mark.parametrize("message", TO_FLEET)
def test_what_a_worker_says_arrives_as_it_was_said(message: ToFleet) -> None:
    assert decode_to_fleet(payload_of(message)) == message


@given(st.lists(st.sampled_from(TO_WORKER), min_size=1), st.lists(st.integers(1, 40), min_size=1))
def test_any_split_of_the_bytes_gives_the_same_messages(messages: list[ToWorker], sizes: list[int]) -> None:
    data, inbox, heard, turn = b"".join(map(encode, messages)), Inbox(), [], 0
    while data:
        size = sizes[turn % len(sizes)]
        heard += [decode_to_worker(payload) for payload in inbox.feed(data[:size])]
        data, turn = data[size:], turn + 1
    assert heard == messages


def test_first_message_is_read_without_a_byte_of_the_next() -> None:
    data, inbox, payloads = encode(Ready()) + encode(Scrape(1)), Inbox(), []
    while not payloads:
        size = inbox.missing_bytes
        payloads, data = inbox.feed(data[:size]), data[size:]
    assert (decode_to_fleet(payloads[0]), data) == (Ready(), encode(Scrape(1)))


@pytest.mark.parametrize("length", [b"\xff\xff\xff\xff", b"\x00\x00\x00\x00"])
def test_length_that_no_message_has_is_out_of_step(length: bytes) -> None:
    with pytest.raises(OutOfStep):
        Inbox().feed(length + b"x")


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x93\x01\x02\x03", payload_of(Ready())])
def test_payload_that_is_no_message_for_a_worker_is_out_of_step(payload: bytes) -> None:
    with pytest.raises(OutOfStep):
        decode_to_worker(payload)
