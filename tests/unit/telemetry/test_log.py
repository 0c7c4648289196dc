"""Log lines from events: parseable, on one line each, and without anything that is nobody's business."""

import io
import json
import logging
from datetime import datetime, timedelta
from typing import Any

import pytest

from proxy.core.action import Tried
from proxy.core.breaker import State
from proxy.core.drill_record import Record
from proxy.core.drill_report import Drill, End, Shape
from proxy.core.outcome import Kind, Outcome
from proxy.core.suspicion import Doubt
from proxy.telemetry import log
from proxy.telemetry.events import (
    AttemptEnded,
    BreakerChanged,
    DrillChanged,
    DrillSkipped,
    Event,
    FaultCaught,
    ModelServerChanged,
    Phase,
    Result,
    UpstreamSuspected,
    WorkerChanged,
    WorkerPhase,
)
from tests.unit.stand_ins import request_ended


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def written(
    *events: Event,
    log_format: str = "json",
    level: str = "debug",
    to: io.StringIO | None = None,
    worker: int | None = None,
) -> str:
    stream = io.StringIO() if to is None else to
    with log.configured(log_format, level, stream, worker=worker):
        sink = log.LogSink(lambda: 1_700_000_000.9996)
        for event in events:
            sink(event)
    return stream.getvalue()


def entry(event: Event, worker: int | None = None) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(written(event, worker=worker))
    return found


def attempt(kind: Kind, detail: str = "") -> AttemptEnded:
    return AttemptEnded("req-1", "acme", 1, Outcome(kind, detail=detail), 0.1, None, None)


BREAKER = BreakerChanged("acme", "gpt-5", State.CLOSED, State.OPEN, Kind.RESET)


def test_json_line_has_who_when_and_what() -> None:
    found = entry(request_ended(tried=(Tried("zeus", Kind.DNS),), losses=("tools",)))
    assert (found["level"], found["logger"], found["message"]) == ("info", "hotspare", "request")
    assert (found["tried"], found["lost"], found["seconds"]) == ("zeus: dns", "tools", 1.2346)
    assert found["time"] == "2023-11-14T22:13:20.999Z"


def test_time_is_utc_for_every_logger() -> None:
    found = entry(ModelServerChanged(Phase.READY))
    assert datetime.fromisoformat(found["time"]).utcoffset() == timedelta()


def test_what_is_not_known_is_left_out() -> None:
    assert {"client", "tried", "lost", "first_content_seconds"}.isdisjoint(entry(request_ended()))


def test_each_event_is_one_json_line() -> None:
    down = ModelServerChanged(Phase.DOWN, "killed by SIGKILL")
    events: list[Event] = [request_ended(), attempt(Kind.STALL), BREAKER, down]
    lines = written(*events, FaultCaught("request", KeyError("x"))).splitlines()
    assert [json.loads(line)["message"] for line in lines] == [
        "request",
        "attempt",
        "breaker open",
        "model server down",
        "fault in request",
    ]


def test_json_request_has_all_that_is_known_and_rounded() -> None:
    found = entry(request_ended(client="billing", first_content_seconds=0.1, tried=(Tried("zeus", Kind.CUT, 200),)))
    assert list(found)[4:] == [
        "request_id",
        "client",
        "method",
        "endpoint",
        "stream",
        "status",
        "result",
        "upstream",
        "attempts",
        "tried",
        "seconds",
        "first_content_seconds",
    ]


def test_json_attempt_has_the_outcome_in_words() -> None:
    event = AttemptEnded("req-1", "acme", 2, Outcome(Kind.SERVER_ERROR, 503, detail="x"), 0.12345, 0.1, "req_cloud")
    found = entry(event)
    assert {name: found[name] for name in list(found)[4:]} == {
        "request_id": "req-1",
        "upstream": "acme",
        "number": 2,
        "outcome": "server_error",
        "status": 503,
        "detail": "x",
        "seconds": 0.1235,
        "first_content_seconds": 0.1,
        "upstream_request_id": "req_cloud",
    }


@pytest.mark.parametrize("event", [request_ended(), ModelServerChanged(Phase.READY)])
def test_line_of_a_worker_says_which(event: Event) -> None:
    assert entry(event, worker=3)["worker"] == 3
    assert " worker=3" in written(event, worker=3, log_format="human")


def test_requests_and_all_else_stand_in_the_order_in_which_they_happened() -> None:
    events: list[Event] = [request_ended(), BREAKER, attempt(Kind.STALL), FaultCaught("x", KeyError()), request_ended()]
    messages = [json.loads(line)["message"] for line in written(*events).splitlines()]
    assert messages == ["request", "breaker open", "attempt", "fault in x", "request"]


def test_sink_without_our_log_speaks_through_logging(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    log.LogSink()(request_ended(result=Result.UNAVAILABLE))
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [("WARNING", "request")]


def test_record_whose_arguments_do_not_fit_is_written_as_it_is() -> None:
    stream = io.StringIO()
    with log.configured("json", "info", stream):
        record = {"name": "aiohttp", "levelno": logging.INFO, "msg": "%d of %d", "args": ("one",)}
        logging.getLogger("aiohttp").handle(logging.makeLogRecord(record))
    assert json.loads(stream.getvalue())["message"] == "%d of %d ('one',)"


def test_fault_comes_with_its_traceback() -> None:
    found = entry(FaultCaught("probe", ZeroDivisionError("by zero")))
    assert (found["level"], found["traceback"].strip()) == ("error", "ZeroDivisionError: by zero")


@pytest.mark.parametrize(
    ("event", "level"),
    [
        (request_ended(), "info"),
        (request_ended(result=Result.CALLER_ERROR), "info"),
        (request_ended(result=Result.CLIENT_GONE), "info"),
        (request_ended(result=Result.UNAVAILABLE), "warning"),
        (request_ended(result=Result.BROKEN_OFF), "warning"),
        (request_ended(result=Result.FAULT), "warning"),
        (attempt(Kind.OK), "debug"),
        (attempt(Kind.CALLER_ERROR), "debug"),
        (attempt(Kind.STALL), "info"),
        (BREAKER, "warning"),
        (BreakerChanged("acme", "gpt-5", State.OPEN, State.HALF_OPEN, None), "info"),
        (BreakerChanged("acme", "gpt-5", State.HALF_OPEN, State.RAMPING, Kind.OK), "info"),
        (UpstreamSuspected("acme", "gpt-5", Doubt.FAILURE), "info"),
        (ModelServerChanged(Phase.READY), "info"),
        (ModelServerChanged(Phase.DOWN), "warning"),
        (WorkerChanged(1, WorkerPhase.READY), "info"),
    ],
)
def test_level_says_whether_somebody_should_look(event: Event, level: str) -> None:
    assert entry(event)["level"] == level


def test_level_that_is_configured_hides_what_is_below() -> None:
    assert written(request_ended(), attempt(Kind.OK), level="warning") == ""


INJECTIONS = [
    "a\nfake line",
    "a\r\nb",
    "a\x1b[31mred",
    "a\u2028b",
    "a\u202eb",
    "a\x00b",
    "a\x85b",
    "a\x9bb",
    "a\ud800b",
]


@pytest.mark.parametrize("text", INJECTIONS)
def test_human_line_quotes_control_characters(text: str) -> None:
    line = written(BreakerChanged("acme", text, State.CLOSED, State.OPEN, None), log_format="human")
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    assert json.dumps(text) in line


@pytest.mark.parametrize("text", INJECTIONS)
def test_json_line_escapes_control_characters(text: str) -> None:
    line = written(BreakerChanged("acme", text, State.CLOSED, State.OPEN, None))
    assert line[:-1].isprintable()
    assert json.loads(line)["model"] == text


def test_json_request_line_escapes_what_the_client_sent() -> None:
    line = written(request_ended(method="a\u2028b"), request_ended(method="a\udcffb"))
    assert line.isascii()
    assert [json.loads(each)["method"] for each in line.splitlines()] == ["a\u2028b", "a\udcffb"]


def test_human_line_quotes_spaces_so_that_no_field_can_be_forged() -> None:
    line = written(attempt(Kind.BAD_ANSWER, "x upstream=forged"), log_format="human")
    assert 'detail="x upstream=forged"' in line


def test_human_line_reads_as_name_and_value() -> None:
    line = written(request_ended(), log_format="human")
    assert " info    request request_id=req-1 method=POST endpoint=chat/completions " in line


def test_human_fault_comes_with_its_traceback() -> None:
    text = written(FaultCaught("request", ZeroDivisionError("by zero")), log_format="human")
    assert text.splitlines()[-1] == "ZeroDivisionError: by zero"


@pytest.mark.parametrize(
    ("log_format", "stream", "is_json"),
    [
        ("auto", Terminal(), False),
        ("auto", io.StringIO(), True),
        ("json", Terminal(), True),
        ("human", io.StringIO(), False),
    ],
)
def test_format_follows_the_terminal_unless_it_is_told(log_format: str, stream: io.StringIO, is_json: bool) -> None:
    assert written(request_ended(), log_format=log_format, to=stream).startswith("{") is is_json


def test_other_libraries_speak_in_the_same_format() -> None:
    stream = io.StringIO()
    with log.configured("json", "info", stream):
        logging.getLogger("aiohttp.server").warning("Error %s", "handling request")
    found = json.loads(stream.getvalue())
    assert (found["logger"], found["message"]) == ("aiohttp.server", "Error handling request")


def test_drill_is_told_with_its_report() -> None:
    record = Record(3, Drill(("acme",), Shape.CUT, 0.05, 30.0), 100.0)
    began = entry(DrillChanged(record.report(100.0)))
    record.breaker("acme", "gpt-5", State.OPEN, 101.0)
    record.ended(130.0, End.TIME)
    ended = entry(DrillChanged(record.report(130.0)))
    record.breaker("acme", "gpt-5", State.CLOSED, 150.0)
    over = entry(DrillChanged(record.report(150.0)))
    assert [said["message"] for said in (began, ended, over)] == ["drill began", "drill ended", "drill over"]
    assert {said["level"] for said in (began, ended, over)} == {"warning"}
    assert (over["shape"], over["end"], over["ran_seconds"], over["return_seconds"]) == ("cut", "time", 30.0, 20.0)
    assert "return_seconds" not in ended


def test_drill_that_did_not_begin_says_why() -> None:
    said = entry(DrillSkipped(Drill(("acme",), Shape.CUT, 0.05, 30.0), "another drill runs"))
    assert (said["message"], said["why"], said["upstreams"]) == ("drill skipped", "another drill runs", ["acme"])
