"""One attempt: what its listener hears, and when its time is up. The far end is in the test's hand."""

from math import inf

import pytest

from proxy.core.action import Start
from proxy.core.breaker import UNCOUNTED
from proxy.core.candidates import Candidate
from proxy.core.health import Key
from proxy.core.outcome import Kind, Outcome
from proxy.errors import RequestInvalid
from proxy.server.answer import Unjoinable
from proxy.server.attempt import Attempt, Facilities, Question
from proxy.server.journal import Budget
from proxy.upstreams.upstream import Identity
from proxy.wire.headers import Fields
from tests.unit.server.completions import ANSWER, DONE, PING, ROLE, STOP, TEXT
from tests.unit.stand_ins import (
    EVENT_STREAM,
    JSON,
    FakeClock,
    FakeDeadlines,
    FakeDispatch,
    FakeGate,
    FakeUpstream,
    call,
    turn,
)

KEYLESS = Identity("acme", "https://acme.test/v1")
OUR_KEY = Identity("acme", "https://acme.test/v1", api_key="sk-ours")
CLIENTS_KEY = Identity("acme", "https://acme.test/v1", forwards_client_key=True)
PATIENCE_SECONDS, STALL_SECONDS = 5.0, 15.0


class Trial:
    """An attempt, and everything that its listener heard."""

    def __init__(
        self,
        *,
        is_stream: bool = False,
        identity: Identity = OUR_KEY,
        gate: FakeGate | None = None,
        model: str = "gpt-5",
        body: bytes = b'{"model":"gpt-5"}',
    ) -> None:
        self.heard: list[tuple[object, ...]] = []
        self.unfit = b""
        self.clock = FakeClock()
        self.deadlines = FakeDeadlines(self.clock)
        self.upstream = FakeUpstream(identity, gate=gate)
        self.budget = Budget()
        start = Start(
            candidate=Candidate("acme", model, is_local=False),
            number=1,
            connect_seconds=2.0,
            limit_at=self.clock.now + PATIENCE_SECONDS,
            stall_seconds=STALL_SECONDS,
            late_kind=Kind.FIRST_CONTENT_TIMEOUT if is_stream else Kind.DEADLINE,
        )
        question = Question(call(("authorization", "Bearer sk-client"), body=body), "gpt-5", is_stream)
        facilities = Facilities(self.clock, self.deadlines, self.budget)
        self.attempt = Attempt(start, Key("acme", model), UNCOUNTED, self.upstream, question, self, facilities)

    def launch(self) -> FakeDispatch:
        self.attempt.launch([])
        return self.upstream.last

    # ---- Listener

    def content(self, attempt: Attempt, held: bytes) -> None:
        self.heard.append(("content", held))

    def block(self, data: bytes) -> None:
        if data == self.unfit:
            raise Unjoinable(Outcome(Kind.BAD_ANSWER, 200))
        self.heard.append(("block", data))

    def ended(self, attempt: Attempt, outcome: Outcome, body: bytes | None) -> None:
        self.heard.append(("ended", outcome, body))

    def fault(self, attempt: Attempt, error: Exception) -> None:
        self.heard.append(("fault", error))

    @property
    def outcome(self) -> Outcome:
        """What it ended with, once."""
        (outcome,) = [heard[1] for heard in self.heard if heard[0] == "ended"]
        assert isinstance(outcome, Outcome)
        return outcome


def streaming(*pieces: bytes) -> tuple[Trial, FakeDispatch]:
    """A stream under way."""
    trial = Trial(is_stream=True)
    dispatch = trial.launch()
    dispatch.begin(fields=EVENT_STREAM)
    dispatch.send(*pieces)
    return trial, dispatch


# ---- answers


def test_whole_answer_is_heard_of_once_at_its_end() -> None:
    trial = Trial()
    trial.launch().answer(ANSWER[:9], ANSWER[9:])
    assert trial.heard == [("ended", Outcome(Kind.OK, 200), ANSWER)]


def test_stream_is_heard_of_from_its_first_content() -> None:
    trial, _ = streaming(PING, ROLE, TEXT, TEXT + STOP[:5], STOP[5:])
    assert trial.heard == [("content", PING + ROLE + TEXT), ("block", TEXT), ("block", STOP)]


def test_stream_that_has_ended_has_no_body_of_its_own() -> None:
    trial, dispatch = streaming(TEXT, STOP, DONE)
    dispatch.end()
    assert trial.heard[-1] == ("ended", Outcome(Kind.OK, 200), None)


def test_head_and_times_are_there_when_the_listener_hears_of_content() -> None:
    trial = Trial(is_stream=True)
    dispatch = trial.launch()
    trial.clock.now += 2
    dispatch.begin(fields=[*EVENT_STREAM, ("X-Request-ID", "req_7")])
    dispatch.send(TEXT)
    attempt = trial.attempt
    assert (attempt.began_at, attempt.first_content_at, attempt.upstream_request_id) == (1000.0, 1002.0, "req_7")
    assert attempt.phases is dispatch.phases


def test_request_is_sent_with_the_upstreams_name_for_the_model() -> None:
    dispatch = Trial(model="deployment").launch()
    assert (dispatch.body, dispatch.connect_seconds) == (b'{"model":"deployment"}', 2.0)


def test_request_that_cannot_name_another_model_is_refused_before_it_is_sent() -> None:
    trial = Trial(model="deployment", body=b'{"\xff":1,"model":"gpt-5"}')
    with pytest.raises(RequestInvalid):
        trial.attempt.launch([])
    assert trial.heard == []


def test_callers_error_is_an_answer_whatever_it_looks_like() -> None:
    trial = Trial()
    trial.launch().answer(b"<h1>Bad Request</h1>", status=400, fields=[("Content-Type", "text/html")])
    assert trial.heard == [("ended", Outcome(Kind.CALLER_ERROR, 400), b"<h1>Bad Request</h1>")]


def test_callers_error_answers_a_stream_too() -> None:
    trial = Trial(is_stream=True)
    trial.launch().answer(b'{"error":{}}', status=404)
    assert trial.heard == [("ended", Outcome(Kind.CALLER_ERROR, 404), b'{"error":{}}')]


def test_other_success_than_200_is_one() -> None:
    trial = Trial()
    trial.launch().answer(ANSWER, status=201)
    assert trial.outcome == Outcome(Kind.OK, 201)


# ---- failures


@pytest.mark.parametrize("body", [b"<html>", b"", ANSWER[:-4]])
def test_what_is_no_completion_under_200_fails(body: bytes) -> None:
    trial = Trial()
    trial.launch().answer(*filter(None, [body]))
    assert trial.heard == [("ended", Outcome(Kind.BAD_ANSWER, 200, detail="not a completion"), None)]


@pytest.mark.parametrize("is_stream", [False, True])
def test_answer_of_the_wrong_kind_frees_the_connection_at_once(is_stream: bool) -> None:
    trial = Trial(is_stream=is_stream)
    dispatch = trial.launch()
    dispatch.begin(200 if is_stream else 500)
    dispatch.send(b"<html>", b"<body>")
    assert len(trial.heard) == 1
    assert "cancel" in dispatch.asked


def test_stream_that_shows_an_error_after_its_content_ends_with_it() -> None:
    trial, dispatch = streaming(TEXT, b'data: {"error":{}}\n\n')
    dispatch.end()
    assert trial.outcome == Outcome(Kind.SERVER_ERROR, 200, detail="error event")


def test_failure_of_the_exchange_is_passed_on() -> None:
    trial = Trial()
    trial.launch().fail(Outcome(Kind.DNS, detail="x"))
    assert trial.heard == [("ended", Outcome(Kind.DNS, detail="x"), None)]


def test_stream_that_breaks_after_its_finish_is_well() -> None:
    trial, dispatch = streaming(TEXT, STOP)
    dispatch.fail(Outcome(Kind.CUT, 200))
    assert trial.outcome.kind is Kind.OK


def test_stream_whose_finish_does_not_fit_is_not_well() -> None:
    trial, dispatch = streaming(TEXT)
    trial.unfit = STOP
    dispatch.send(STOP)
    assert trial.outcome.kind is Kind.BAD_ANSWER


def test_keep_alives_behind_the_finish_do_not_hide_it() -> None:
    trial, dispatch = streaming(TEXT, STOP, *[PING] * 20)
    dispatch.fail(Outcome(Kind.CUT, 200))
    assert trial.outcome.kind is Kind.OK


@pytest.mark.parametrize(
    ("identity", "kind"), [(OUR_KEY, Kind.OUR_KEY), (KEYLESS, Kind.NO_KEY)], ids=["our key", "no key"]
)
def test_refused_key_that_is_not_the_clients_fails(identity: Identity, kind: Kind) -> None:
    trial = Trial(identity=identity)
    trial.launch().answer(b"{}", status=401)
    assert trial.heard == [("ended", Outcome(kind, 401), None)]


def test_refused_key_of_the_client_is_the_clients_answer() -> None:
    trial = Trial(identity=CLIENTS_KEY)
    trial.launch().answer(b"{}", status=401)
    assert trial.heard == [("ended", Outcome(Kind.CALLER_ERROR, 401), b"{}")]


@pytest.mark.parametrize(
    ("status", "fields", "seconds"),
    [
        (429, [("Retry-After", "17")], 17.0),
        (429, [("retry-after-ms", "1500"), ("Retry-After", "2")], 1.5),
        (503, [("Retry-After", "Tue, 14 Nov 2023 22:30:30 GMT")], 1_700_001_030 - FakeClock().wall()),
        (503, JSON, None),
    ],
)
def test_failure_carries_the_time_to_come_back(status: int, fields: Fields, seconds: float | None) -> None:
    trial = Trial()
    trial.launch().answer(b"{}", status=status, fields=fields)
    assert (trial.outcome.status, trial.outcome.retry_after_seconds) == (status, seconds)


def test_gate_hears_of_an_upstream_that_was_not_there() -> None:
    gate = FakeGate(is_open=True)
    Trial(gate=gate).launch().fail(Outcome(Kind.RESET))
    assert gate.doubts == 1


# ---- the end is told once


def test_nothing_is_heard_after_the_end() -> None:
    trial = Trial()
    dispatch = trial.launch()
    dispatch.answer(ANSWER)
    dispatch.sink.body(ANSWER)
    dispatch.sink.end()
    dispatch.sink.failed(Outcome(Kind.CUT))
    trial.deadlines.advance(1000)
    assert trial.heard == [("ended", Outcome(Kind.OK, 200), ANSWER)]


@pytest.mark.parametrize("pieces", [[], [ROLE], [TEXT]])
def test_cancelled_attempt_tells_nobody(pieces: list[bytes]) -> None:
    trial, dispatch = streaming(*pieces)
    before = len(trial.heard)
    trial.attempt.cancel()
    dispatch.sink.body(TEXT)
    dispatch.sink.failed(Outcome(Kind.CUT))
    trial.deadlines.advance(1000)
    assert (len(trial.heard), dispatch.asked) == (before, ["cancel"])


def test_nothing_is_left_behind() -> None:
    trial, _ = streaming(TEXT, *[TEXT] * 500)
    used = trial.budget.used_bytes
    trial.attempt.cancel()
    assert (used > 0, trial.budget.used_bytes, trial.deadlines.watched) == (True, 0, set())


def test_mistake_of_ours_is_told_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    trial, dispatch = streaming()
    mistake = RuntimeError("a mistake")

    def take(data: bytes) -> bytes:
        raise mistake

    monkeypatch.setattr("proxy.server.answer.StreamAnswer.take", lambda self, data: take(data))
    dispatch.send(TEXT)
    dispatch.send(TEXT)
    assert (trial.heard, dispatch.asked) == ([("fault", mistake)], ["cancel"])


# ---- limits


@pytest.mark.parametrize(("is_stream", "kind"), [(True, Kind.FIRST_CONTENT_TIMEOUT), (False, Kind.DEADLINE)])
def test_attempt_without_an_answer_fails_by_the_limit_that_passed(is_stream: bool, kind: Kind) -> None:
    trial = Trial(is_stream=is_stream)
    dispatch = trial.launch()
    trial.deadlines.advance(PATIENCE_SECONDS - 0.1)
    assert trial.heard == []
    trial.deadlines.advance(0.1)
    assert (trial.heard, dispatch.asked) == ([("ended", Outcome(kind), None)], ["cancel"])


@pytest.mark.parametrize("is_stream", [True, False])
def test_what_is_no_content_does_not_put_the_limit_off(is_stream: bool) -> None:
    trial = Trial(is_stream=is_stream)
    dispatch = trial.launch()
    dispatch.begin(fields=EVENT_STREAM if is_stream else JSON)
    for _ in range(10):
        trial.deadlines.advance(PATIENCE_SECONDS / 10)
        dispatch.send(PING + ROLE)
    assert trial.outcome.kind in (Kind.FIRST_CONTENT_TIMEOUT, Kind.DEADLINE)


def test_limit_of_the_first_content_does_not_bind_a_stream_that_has_shown_it() -> None:
    trial, _ = streaming(TEXT)
    trial.deadlines.advance(STALL_SECONDS - 0.1)
    assert trial.heard == [("content", TEXT)]


def test_silence_past_the_limit_is_a_stall() -> None:
    trial, dispatch = streaming(TEXT)
    trial.deadlines.advance(STALL_SECONDS)
    assert (trial.outcome, dispatch.asked) == (Outcome(Kind.STALL, 200), ["cancel"])


def test_content_puts_the_stall_off() -> None:
    trial, dispatch = streaming(TEXT)
    for _ in range(5):
        trial.deadlines.advance(STALL_SECONDS - 1)
        dispatch.send(TEXT)
    assert trial.heard == [("content", TEXT), *[("block", TEXT)] * 5]


def test_keep_alives_do_not_hide_a_stall() -> None:
    trial, dispatch = streaming(TEXT)
    for _ in range(int(STALL_SECONDS)):
        trial.deadlines.advance(1)
        dispatch.send(PING)
    assert trial.outcome.kind is Kind.STALL


def test_half_an_event_does_not_hide_a_stall() -> None:
    trial, dispatch = streaming(TEXT)
    trial.deadlines.advance(STALL_SECONDS - 1)
    dispatch.send(TEXT[:9])
    trial.deadlines.advance(1)
    assert trial.outcome.kind is Kind.STALL


def test_stall_after_the_finish_is_well() -> None:
    trial, _ = streaming(TEXT, STOP)
    trial.deadlines.advance(STALL_SECONDS)
    assert trial.outcome.kind is Kind.OK


def test_event_without_end_after_the_content_ends_the_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.wire.sse.MAX_EVENT_BYTES", 1000)
    trial, dispatch = streaming(TEXT)
    dispatch.send(b"data: " + b"x" * 1000)
    assert (trial.outcome.kind, dispatch.asked) == (Kind.BAD_ANSWER, ["cancel"])


# ---- a client that does not read


def test_client_that_does_not_read_is_not_held_against_the_upstream() -> None:
    trial, dispatch = streaming(TEXT)
    trial.attempt.pause()
    trial.deadlines.advance(1000)
    assert (trial.heard, dispatch.asked) == ([("content", TEXT)], ["pause"])


def test_what_comes_after_the_pause_does_not_start_the_clock_of_the_stall() -> None:
    trial, dispatch = streaming(TEXT)
    trial.attempt.pause()
    dispatch.send(TEXT)
    assert trial.attempt.limit_at == inf


def test_clock_of_the_stall_starts_anew_when_the_client_reads_again() -> None:
    trial, dispatch = streaming(TEXT)
    trial.attempt.pause()
    trial.deadlines.advance(1000)
    trial.attempt.resume()
    trial.deadlines.advance(STALL_SECONDS - 0.1)
    assert dispatch.asked == ["pause", "resume"]
    trial.deadlines.advance(0.1)
    assert trial.outcome.kind is Kind.STALL


def test_client_whose_connection_is_full_at_the_first_content_pauses_the_upstream() -> None:
    class Full(Trial):
        def content(self, attempt: Attempt, held: bytes) -> None:
            attempt.pause()

    trial = Full(is_stream=True)
    dispatch = trial.launch()
    dispatch.begin(fields=EVENT_STREAM)
    dispatch.send(TEXT)
    assert (dispatch.asked, trial.attempt.limit_at) == (["pause"], inf)


def test_pause_and_resume_are_nothing_to_an_attempt_that_is_over() -> None:
    trial, dispatch = streaming(TEXT)
    trial.attempt.cancel()
    trial.attempt.pause()
    trial.attempt.resume()
    assert dispatch.asked == ["cancel"]


def test_client_that_does_not_read_does_not_put_off_the_first_content() -> None:
    trial, dispatch = streaming(ROLE)
    trial.attempt.pause()
    trial.deadlines.advance(PATIENCE_SECONDS)
    assert (trial.outcome.kind, dispatch.asked) == (Kind.FIRST_CONTENT_TIMEOUT, ["cancel"])


# ---- the gate


async def test_request_waits_at_a_gate_that_is_shut_and_is_sent_when_it_opens() -> None:
    gate = FakeGate(is_open=False)
    trial = Trial(gate=gate)
    trial.attempt.launch([])
    await turn()
    assert (gate.waits, trial.upstream.transport.dispatched, trial.attempt.phases) == ([PATIENCE_SECONDS], [], None)
    gate.decide(is_open=True)
    await turn()
    trial.upstream.last.answer(ANSWER)
    assert trial.heard == [("ended", Outcome(Kind.OK, 200), ANSWER)]


async def test_gate_that_stays_shut_is_an_upstream_that_is_not_available() -> None:
    gate = FakeGate(is_open=False)
    trial = Trial(gate=gate)
    trial.attempt.launch([])
    await turn()
    gate.decide(is_open=False)
    await turn()
    assert (trial.outcome.kind, trial.upstream.transport.dispatched) == (Kind.UNAVAILABLE, [])
    assert trial.deadlines.watched == set()


async def test_time_runs_at_the_gate() -> None:
    gate = FakeGate(is_open=False)
    trial = Trial(gate=gate)
    trial.attempt.launch([])
    await turn()
    trial.deadlines.advance(PATIENCE_SECONDS)
    gate.decide(is_open=True)
    await turn()
    assert (trial.outcome.kind, trial.upstream.transport.dispatched) == (Kind.DEADLINE, [])


async def test_cancelled_attempt_leaves_the_gate() -> None:
    gate = FakeGate(is_open=False)
    trial = Trial(gate=gate)
    trial.attempt.launch([])
    await turn()
    trial.attempt.cancel()
    gate.decide(is_open=True)
    await turn()
    assert (trial.heard, trial.upstream.transport.dispatched) == ([], [])


async def test_request_that_proves_invalid_behind_the_gate_is_told_as_a_fault() -> None:
    gate = FakeGate(is_open=False)
    trial = Trial(gate=gate, model="deployment", body=b'{"\xff":1,"model":"gpt-5"}')
    trial.attempt.launch([])
    gate.decide(is_open=True)
    await turn()
    ((name, error),) = trial.heard
    assert (name, isinstance(error, RequestInvalid)) == ("fault", True)
