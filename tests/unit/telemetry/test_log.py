"""Log lines from events: parseable, on one line each, and without anything that is nobody's business."""

import io
import json
import logging
import threading
from datetime import datetime
from typing import Any

import pytest

from proxy.core.breaker import State
from proxy.core.failover import Tried
from proxy.core.outcome import Kind, Outcome
from proxy.telemetry import log
from proxy.telemetry.events import (
    AttemptEnded,
    BreakerChanged,
    Event,
    FaultCaught,
    ModelServerChanged,
    Phase,
    Result,
)
from tests.unit.stand_ins import request_ended


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def written(*events: Event, log_format: str = "json", level: str = "debug", to: io.StringIO | None = None) -> str:
    stream = io.StringIO() if to is None else to
    with log.configured(log_format, level, stream):
        sink = log.LogSink()
        for event in events:
            sink(event)
    return stream.getvalue()


def entry(event: Event) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(written(event))
    return found


def attempt(kind: Kind, detail: str = "") -> AttemptEnded:
    return AttemptEnded("req-1", "acme", 1, Outcome(kind, detail=detail), 0.1, None, None)


BREAKER = BreakerChanged("acme", "gpt-5", State.CLOSED, State.OPEN, Kind.RESET)


def test_json_line_has_who_when_and_what() -> None:
    found = entry(request_ended(tried=(Tried("zeus", Kind.DNS),), losses=("tools",)))
    assert (found["level"], found["logger"], found["message"]) == ("info", "hotspare", "request")
    assert (found["tried"], found["lost"], found["seconds"]) == ("zeus: dns", "tools", 1.2346)
    assert datetime.fromisoformat(found["time"]).utcoffset() is not None


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


def test_fault_comes_with_its_traceback() -> None:
    found = entry(FaultCaught("probe", ZeroDivisionError("by zero")))
    assert (found["level"], found["error"].strip()) == ("error", "ZeroDivisionError: by zero")


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
        (BreakerChanged("acme", "gpt-5", State.HALF_OPEN, State.CLOSED, Kind.OK), "info"),
        (ModelServerChanged(Phase.READY), "info"),
        (ModelServerChanged(Phase.DOWN), "warning"),
    ],
)
def test_level_says_whether_somebody_should_look(event: Event, level: str) -> None:
    assert entry(event)["level"] == level


def test_level_that_is_configured_hides_what_is_below() -> None:
    assert written(request_ended(), attempt(Kind.OK), level="warning") == ""


INJECTIONS = ["a\nfake line", "a\r\nb", "a\x1b[31mred", "a\u2028b", "a\u202eb", "a\x00b", "a\x85b", "a\x9bb"]


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


def test_reader_that_stopped_reading_stops_nobody() -> None:
    class Stuck(io.StringIO):
        def write(self, _: str) -> int:
            reading_again.wait()
            return 0

    reading_again = threading.Event()
    with log.configured("json", "info", Stuck()):
        sink = log.LogSink()
        for _ in range(20_000):
            sink(ModelServerChanged(Phase.READY))
        reading_again.set()
    assert reading_again.is_set()
