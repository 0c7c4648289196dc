"""One request from its first attempt to the last byte that its client gets. The far ends are in the test's hand."""

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from random import Random
from types import MappingProxyType

import pytest

from proxy.core.action import Timeouts, Tried
from proxy.core.breaker import BreakerSettings, Permit, Place, Refusal, State, first
from proxy.core.budget import RetryBudget
from proxy.core.candidates import Candidate, Need, Plan, Prefill
from proxy.core.failover import Opening
from proxy.core.health import Health, HealthPolicy, Key
from proxy.core.outcome import Kind, Outcome
from proxy.core.patience import UNLEARNT_SECONDS
from proxy.server.account import CLIENT_GONE, Account
from proxy.server.attempt import Facilities, Question
from proxy.server.drive import Drive, Means
from proxy.server.journal import Budget
from proxy.server.pulse import COMMENT, PERIOD_SECONDS
from proxy.server.reply import Reply
from proxy.telemetry.events import AttemptEnded, Emit, Endpoint, Event, FaultCaught, Result
from proxy.upstreams.pool import Pool
from proxy.upstreams.upstream import Identity, Upstream
from proxy.wire import sse
from tests.unit.server.completions import ANSWER, DONE, ERROR, OTHER_STOP, OTHER_TEXT, PING, ROLE, STOP, TEXT
from tests.unit.stand_ins import (
    EVENT_STREAM,
    FakeClient,
    FakeClock,
    FakeDeadlines,
    FakeDispatch,
    FakeGate,
    FakeUpstream,
    call,
    turn,
)

DEADLINE_SECONDS = 60.0
KEY = Key("acme", "gpt-5")
_CHUNK = re.compile(rb"([0-9a-f]+)\r\n", re.ASCII)


def dechunked(data: bytes) -> tuple[bytes, bool]:
    """The payload, and whether the last chunk is there."""
    payload = b""
    while line := _CHUNK.match(data):
        size = int(line[1], 16)
        payload += data[line.end() : line.end() + size]
        data = data[line.end() + size + 2 :]
        if not size:
            assert data == b""
            return payload, True
    return payload, False


class CountingPool(Pool):
    """Notes who was asked for leave and got it, and who gave it back."""

    def __init__(self, upstreams: Mapping[str, Upstream], health: Health, clock: FakeClock, emit: Emit) -> None:
        super().__init__(upstreams, health, clock, emit)
        self.given: list[Key] = []
        self.returned: list[Key] = []

    def acquire(self, key: Key, endpoint: str, place: Place = first, *, is_forced: bool = False) -> Permit | Refusal:
        answer = super().acquire(key, endpoint, place, is_forced=is_forced)
        if isinstance(answer, Permit):
            self.given.append(key)
        return answer

    def report(self, key: Key, permit: Permit, outcome: Outcome, *, has_waited: bool = False) -> None:
        self.returned.append(key)
        super().report(key, permit, outcome, has_waited=has_waited)


class Trip:
    """A drive over two clouds and a local model, what its client saw, and what was told."""

    def __init__(
        self,
        *,
        is_stream: bool = False,
        names: tuple[str, ...] = ("acme", "zeus"),
        gate: FakeGate | None = None,
        body: bytes = b'{"model":"gpt-5"}',
        is_probed: bool = True,
        prefills: Mapping[str, Prefill] = MappingProxyType({}),
        hedges: bool = False,
        is_limit_learnt: bool = False,
        on_end: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.clock = FakeClock()
        self.deadlines = FakeDeadlines(self.clock)
        self.client = FakeClient()
        self.events: list[Event] = []
        self.ended: list[int] = []
        self.upstreams = {
            name: FakeUpstream(
                Identity(name, f"https://{name}.test/v1", api_key="k"),
                is_local=name == "local",
                gate=gate if name == "local" else None,
            )
            for name in names
        }
        policy = HealthPolicy(BreakerSettings(), is_probed, is_limit_learnt, reasoning_models=())
        health = Health(dict.fromkeys([name for name in names if name != "local"], policy))
        self.pool = CountingPool(self.upstreams, health, self.clock, self.events.append)
        self.account = Account("req-1", Endpoint.CHAT, "POST", self.clock.now, "billing")
        candidates = tuple(
            Candidate(name, "small" if name == "local" else "gpt-5", name == "local", _losses(name), prefills.get(name))
            for name in names
        )
        opening = Opening(
            candidates,
            dict.fromkeys(names, Timeouts()),
            is_stream=is_stream,
            deadline_seconds=DEADLINE_SECONDS,
            deadline_kind=Kind.DEADLINE,
            local_reserve_seconds=20.0,
            hedges=hedges,
        )
        asked = call(("authorization", "Bearer sk-client"), ("x-hotspare-client", "forged"), body=body)
        self.retries = RetryBudget(self.clock.now)
        facilities = Facilities(self.clock, self.deadlines, Budget())
        means = Means(self.pool, facilities, self.events.append, self.retries, Random(1))
        self.reply = Reply(self.client)

        def end(status: int) -> None:
            self.ended.append(status)
            on_end(status)

        question = Question(asked, "gpt-5", is_stream)
        plan = Plan(candidates, {})
        self.drive = Drive(means, self.account, question, plan, opening, self.reply, end)

    def at(self, name: str) -> FakeDispatch:
        """What was sent to an upstream last."""
        return self.upstreams[name].last

    def fails(self, name: str, kind: Kind = Kind.RESET) -> None:
        self.at(name).fail(Outcome(kind))

    def streams(self, name: str, *pieces: bytes) -> FakeDispatch:
        dispatch = self.at(name)
        dispatch.begin(fields=EVENT_STREAM)
        dispatch.send(*pieces)
        return dispatch

    @property
    def status(self) -> int:
        return int(self.client.written.split()[1])

    @property
    def fields(self) -> dict[str, str]:
        head = self.client.written.partition(b"\r\n\r\n")[0].decode("latin-1")
        pairs = [line.partition(": ") for line in head.split("\r\n")[1:]]
        assert len({name.lower() for name, _, _ in pairs}) == len(pairs)
        return {name.lower(): value for name, _, value in pairs}

    @property
    def body(self) -> bytes:
        return self.client.written.partition(b"\r\n\r\n")[2]

    @property
    def stream(self) -> tuple[bytes, bool]:
        return dechunked(self.body)

    @property
    def attempts(self) -> list[AttemptEnded]:
        return [event for event in self.events if isinstance(event, AttemptEnded)]

    @property
    def kinds(self) -> list[tuple[str, Kind]]:
        """How each attempt ended."""
        return [(event.upstream, event.outcome.kind) for event in self.attempts]


def _losses(name: str) -> tuple[Need, ...]:
    return (Need.TOOLS,) if name == "local" else ()


def begun(*, is_stream: bool = False, names: tuple[str, ...] = ("acme", "zeus")) -> Trip:
    trip = Trip(is_stream=is_stream, names=names)
    trip.drive.begin()
    return trip


# ---- whole answers


def test_answer_of_the_first_upstream_is_the_clients() -> None:
    trip = begun()
    trip.at("acme").answer(ANSWER)
    assert (trip.status, trip.body, trip.ended) == (200, ANSWER, [200])
    assert (trip.fields["content-length"], trip.fields["x-hotspare-upstream"]) == (str(len(ANSWER)), "acme")
    assert trip.kinds == [("acme", Kind.OK)]


def test_nothing_is_written_before_an_answer_is_whole() -> None:
    trip = begun()
    trip.at("acme").begin()
    trip.at("acme").send(ANSWER[:9])
    assert (trip.client.writes, trip.ended) == ([], [])


@pytest.mark.parametrize("is_stream", [False, True])
def test_failure_before_anything_was_shown_is_silent(is_stream: bool) -> None:
    trip = begun(is_stream=is_stream)
    trip.fails("acme", Kind.CONNECT)
    assert trip.client.writes == []
    if is_stream:
        trip.streams("zeus", TEXT, STOP).end()
    else:
        trip.at("zeus").answer(ANSWER)
    assert (trip.status, trip.ended) == (200, [200])
    assert trip.kinds == [("acme", Kind.CONNECT), ("zeus", Kind.OK)]


def test_answer_that_was_cut_is_thrown_away_and_asked_for_elsewhere() -> None:
    trip = begun()
    trip.at("acme").begin()
    trip.at("acme").send(b'{"cut":')
    trip.fails("acme", Kind.CUT)
    trip.at("zeus").answer(ANSWER)
    assert (trip.body, trip.kinds) == (ANSWER, [("acme", Kind.CUT), ("zeus", Kind.OK)])


def test_header_lines_say_who_answered_and_why() -> None:
    trip = begun(names=("acme", "local"))
    trip.at("acme").answer(b"busy", status=529)
    trip.at("local").answer(ANSWER)
    said = {name: value for name, value in trip.fields.items() if name.startswith("x-hotspare")}
    assert said == {
        "x-hotspare-upstream": "local",
        "x-hotspare-model": "small",
        "x-hotspare-attempts": "2",
        "x-hotspare-reason": "acme: server_error 529",
        "x-hotspare-degraded": "tools",
        "x-hotspare-request-id": "req-1",
    }


def test_what_the_local_model_had_to_leave_out_is_told() -> None:
    trip = begun(names=("acme", "local"))
    trip.fails("acme")
    trip.at("local").answer(ANSWER, fields=[("Content-Type", "application/json"), ("x-hotspare-shrunk", "1")])
    assert trip.fields["x-hotspare-degraded"] == "tools, history"


def test_who_asks_for_the_local_model_gets_nothing_shortened() -> None:
    assert b"x-hotspare-shrink" not in begun(names=("local",)).at("local").head.lower()


def test_callers_error_goes_to_the_caller() -> None:
    trip = begun()
    trip.at("acme").answer(b'{"error":{}}', status=422)
    assert (trip.status, trip.body, trip.ended) == (422, b'{"error":{}}', [422])
    assert trip.account.result is Result.CALLER_ERROR
    assert trip.upstreams["zeus"].transport.dispatched == []


def test_callers_error_of_the_local_model_is_none_when_a_cloud_was_asked_for() -> None:
    trip = begun(names=("acme", "local"))
    trip.fails("acme")
    trip.at("local").answer(b'{"error":{}}', status=400)
    assert (trip.status, trip.account.result) == (503, Result.UNAVAILABLE)


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_lone_failure_of_a_server_is_asked_again_a_moment_later(status: int) -> None:
    trip = begun()
    first = trip.at("acme")
    first.answer(b"busy", status=status)
    assert trip.at("acme") is first, "not at once"
    async with asyncio.timeout(5):
        while trip.at("acme") is first:
            await turn()
    trip.at("acme").answer(ANSWER)
    assert (trip.body, trip.fields["x-hotspare-reason"]) == (ANSWER, f"acme: server_error {status}")
    assert trip.upstreams["zeus"].transport.dispatched == []


async def test_it_is_asked_again_once() -> None:
    trip = begun()
    first = trip.at("acme")
    first.answer(b"busy", status=503)
    async with asyncio.timeout(5):
        while trip.at("acme") is first:
            await turn()
    trip.at("acme").answer(b"busy", status=503)
    trip.at("zeus").answer(ANSWER)
    assert trip.fields["x-hotspare-reason"] == "acme: server_error 503; acme: server_error 503"


async def test_local_model_begins_while_a_second_try_waits() -> None:
    trip = Trip(names=("acme", "local"), hedges=True)
    trip.drive.begin()
    first = trip.at("acme")
    first.answer(b"busy", status=503)
    trip.deadlines.advance(0.0)
    trip.at("local").answer(ANSWER)
    assert (trip.at("acme") is first, trip.client.writes) == (True, [])
    async with asyncio.timeout(10):
        while trip.at("acme") is first:
            await turn()
    trip.at("acme").answer(b"busy", status=503)
    assert (trip.body, trip.fields["x-hotspare-upstream"]) == (ANSWER, "local")


async def test_local_model_that_is_not_ready_is_not_asked_while_a_second_try_waits() -> None:
    trip = Trip(names=("acme", "local"), hedges=True, gate=FakeGate(is_open=False))
    trip.drive.begin()
    first = trip.at("acme")
    first.answer(b"busy", status=503)
    trip.deadlines.advance(0.0)
    assert trip.account.attempts == 2, "the second try, which waits, and no understudy"
    trip.drive.client_gone()


def test_upstream_that_has_failed_before_is_not_asked_again() -> None:
    trip = Trip()
    trip.pool.adopt_failure(KEY, "chat/completions")
    trip.drive.begin()
    trip.at("acme").answer(b"busy", status=503)
    trip.at("zeus").answer(ANSWER)
    assert trip.kinds == [("acme", Kind.SERVER_ERROR), ("zeus", Kind.OK)]


def test_retries_have_a_budget() -> None:
    trip = begun()
    trip.retries.requests = 0
    while trip.retries.spend(trip.clock.now):
        pass
    trip.at("acme").answer(b"busy", status=503)
    trip.at("zeus").answer(ANSWER)
    assert trip.kinds == [("acme", Kind.SERVER_ERROR), ("zeus", Kind.OK)]


def test_nobody_left_is_one_503_that_names_everybody() -> None:
    trip = begun()
    trip.fails("acme", Kind.DNS)
    trip.fails("zeus", Kind.RESET)
    error = json.loads(trip.body)["error"]
    assert (trip.status, trip.ended, error["code"]) == (503, [503], "no_upstream_available")
    assert "acme: dns; zeus: reset" in error["message"]
    assert trip.account.tried == (Tried("acme", Kind.DNS), Tried("zeus", Kind.RESET))


def test_upstream_whose_breaker_is_open_is_not_asked() -> None:
    trip = Trip()
    trip.pool.adopt_opened(KEY, "chat/completions", 30.0)
    trip.drive.begin()
    trip.at("zeus").answer(ANSWER)
    assert (trip.fields["x-hotspare-reason"], trip.kinds) == ("acme: breaker_open", [("zeus", Kind.OK)])


def test_upstream_whose_breaker_is_open_is_asked_where_there_is_nobody_else() -> None:
    trip = Trip(names=("acme",))
    trip.pool.adopt_opened(KEY, "chat/completions", 30.0)
    trip.drive.begin()
    trip.at("acme").answer(ANSWER)
    assert (trip.status, trip.pool.states()["acme"][State.OPEN]) == (200, 1)


def test_one_request_waits_for_a_silent_upstream_where_there_is_nobody_else_and_the_others_are_told() -> None:
    trip = Trip(is_stream=True, names=("acme",))
    for kind in (Kind.RESET, Kind.RESET, Kind.FIRST_CONTENT_TIMEOUT):
        permit = trip.pool.acquire(KEY, "chat/completions")
        assert isinstance(permit, Permit)
        trip.pool.report(KEY, permit, Outcome(kind))
    assert isinstance(trip.pool.acquire(KEY, "chat/completions", is_forced=True), Permit), "somebody waits"
    trip.drive.begin()
    assert (trip.status, trip.fields["retry-after"]) == (503, "10")
    assert trip.upstreams["acme"].transport.dispatched == []


# ---- streams


def test_stream_is_held_until_its_first_content_and_then_passes_block_by_block() -> None:
    trip = begun(is_stream=True)
    dispatch = trip.streams("acme", PING, ROLE)
    assert trip.client.writes == []
    dispatch.send(TEXT)
    assert (trip.stream, trip.fields["transfer-encoding"]) == ((PING + ROLE + TEXT, False), "chunked")
    dispatch.send(TEXT + STOP[:9])
    dispatch.send(STOP[9:] + DONE)
    dispatch.end()
    assert (trip.stream, trip.ended) == ((PING + ROLE + TEXT + TEXT + STOP + DONE, True), [200])


def test_stream_that_fails_before_its_content_is_asked_for_elsewhere() -> None:
    trip = begun(is_stream=True)
    trip.streams("acme", PING, ROLE, ERROR)
    trip.streams("zeus", TEXT, STOP, DONE).end()
    assert trip.stream == (TEXT + STOP + DONE, True)
    assert trip.fields["x-hotspare-reason"] == "acme: bad_answer 200"


def test_stream_without_content_in_time_is_asked_for_elsewhere() -> None:
    trip = begun(is_stream=True)
    trip.streams("acme", ROLE)
    trip.deadlines.advance(Timeouts().first_content_seconds)
    trip.streams("zeus", TEXT, STOP).end()
    assert trip.kinds == [("acme", Kind.FIRST_CONTENT_TIMEOUT), ("zeus", Kind.OK)]


@pytest.mark.parametrize("kind", [Kind.CUT, Kind.RESET])
def test_stream_that_breaks_after_its_content_says_so_and_is_not_done(kind: Kind) -> None:
    trip = begun(is_stream=True)
    trip.streams("acme", TEXT, TEXT[:9])
    trip.fails("acme", kind)
    payload, is_ended = trip.stream
    event = json.loads(payload.removeprefix(TEXT).removeprefix(b"data: "))
    assert (event["error"]["code"], is_ended, b"[DONE]" in payload) == ("upstream_stream_broken", True, False)
    assert f"acme broke off ({kind})" in event["error"]["message"]
    assert (trip.account.result, trip.ended, trip.kinds) == (Result.BROKEN_OFF, [200], [("acme", kind)])


def test_stream_that_stalls_is_broken_off() -> None:
    trip = begun(is_stream=True)
    trip.streams("acme", TEXT)
    trip.deadlines.advance(Timeouts().stall_seconds)
    assert (b"(stall)" in trip.stream[0], trip.stream[1], trip.account.result) == (True, True, Result.BROKEN_OFF)


def test_stream_that_broke_off_with_an_error_event_is_not_told_another() -> None:
    trip = begun(is_stream=True)
    trip.streams("acme", TEXT, ERROR).end()
    assert (trip.stream, trip.account.result) == ((TEXT + ERROR, True), Result.BROKEN_OFF)


def test_stream_that_has_finished_is_whole_however_its_connection_ends() -> None:
    trip = begun(is_stream=True)
    trip.streams("acme", TEXT, STOP)
    trip.fails("acme", Kind.CUT)
    assert (trip.stream, trip.account.result) == ((TEXT + STOP + b"data: [DONE]\n\n", True), Result.ANSWERED)


# ---- streams that go on elsewhere

ASKED = b'{"model":"gpt-5","messages":[],"stream":true}'
WORDS = {word: sse.event(f'{{"choices":[{{"index":0,"delta":{{"content":"{word}"}}}}]}}'.encode()) for word in "abcd"}


def resuming(*names: str, body: bytes = ASKED) -> Trip:
    prefills: dict[str, Prefill] = {"zeus": "assistant", "local": "hotspare"}
    trip = Trip(is_stream=True, names=("acme", *names), prefills=prefills, body=body)
    trip.drive.begin()
    return trip


def texts(payload: bytes) -> str:
    chunks = [json.loads(data) for data in sse.payloads(payload) if data != b"[DONE]"]
    return "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])


def test_stream_that_breaks_goes_on_with_the_local_model() -> None:
    trip = resuming("local")
    trip.streams("acme", WORDS["a"] + WORDS["b"])
    trip.fails("acme", Kind.CUT)
    assert json.loads(trip.at("local").body)["delivered_text"] == "ab"
    trip.streams("local", ROLE, WORDS["c"], WORDS["d"] + STOP + DONE).end()
    payload, is_ended = trip.stream
    assert (texts(payload), is_ended, payload.count(DONE), trip.ended) == ("abcd", True, 1, [200])
    assert (trip.account.result, trip.account.upstream, trip.account.resumed_by) == (Result.ANSWERED, "acme", "local")
    assert trip.kinds == [("acme", Kind.CUT), ("local", Kind.OK)]


@pytest.mark.parametrize("bad", [ERROR, b"data: {\n\n"], ids=["error event", "no JSON"])
def test_event_that_must_not_be_seen_is_not_and_somebody_goes_on(bad: bytes) -> None:
    trip = resuming("local")
    trip.streams("acme", WORDS["a"], WORDS["b"] + bad + DONE)
    trip.streams("local", WORDS["c"], STOP, DONE).end()
    assert (texts(trip.stream[0]), trip.account.result) == ("abc", Result.ANSWERED)
    assert bad not in trip.stream[0]


def test_candidate_is_not_told_what_the_plan_leaves_out() -> None:
    trip = Trip(names=("acme", "local"), body=b'{"model":"gpt-5","tools":[],"n":1}')
    trip.drive.begin()
    trip.fails("acme")
    assert json.loads(trip.at("local").body) == {"model": "small", "n": 1}


def test_stream_that_breaks_twice_goes_on_twice() -> None:
    trip = resuming("zeus", "local")
    trip.streams("acme", WORDS["a"])
    trip.fails("acme", Kind.RESET)
    assert json.loads(trip.at("zeus").body)["messages"] == [{"role": "assistant", "content": "a"}]
    trip.streams("zeus", WORDS["b"])
    trip.deadlines.advance(Timeouts().stall_seconds)
    assert json.loads(trip.at("local").body)["delivered_text"] == "ab"
    trip.streams("local", WORDS["c"], STOP, DONE).end()
    assert texts(trip.stream[0]) == "abc"


def test_whoever_goes_on_has_to_come_to_every_answer() -> None:
    trip = resuming("local", body=b'{"model":"gpt-5","messages":[],"stream":true,"n":2}')
    trip.streams("acme", WORDS["a"], OTHER_TEXT)
    trip.fails("acme", Kind.CUT)
    trip.streams("local", WORDS["b"], STOP).end()
    assert trip.kinds == [("acme", Kind.CUT), ("local", Kind.CUT)]
    assert json.loads(trip.at("local").body)["delivered_text"] == [None, "Ho"]
    trip.streams("local", OTHER_STOP).end()
    assert (trip.stream[0].count(DONE), trip.account.result) == (1, Result.ANSWERED)


def test_stream_with_which_nobody_goes_on_breaks_off_without_an_end() -> None:
    trip = resuming("local")
    trip.streams("acme", WORDS["a"])
    trip.fails("acme", Kind.CUT)
    trip.at("local").answer(b'{"error":{}}', status=400)
    assert b"upstream_stream_broken" in trip.stream[0]
    assert (DONE in trip.stream[0], trip.account.result, trip.ended) == (False, Result.BROKEN_OFF, [200])


def test_tool_call_that_breaks_is_not_gone_on_with_as_text() -> None:
    trip = resuming("local")
    call_event = sse.event(b'{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0}]}}]}')
    trip.streams("acme", call_event)
    trip.fails("acme", Kind.CUT)
    assert (trip.account.result, trip.upstreams["local"].transport.dispatched) == (Result.BROKEN_OFF, [])


def test_prompt_that_a_convention_cannot_continue_goes_to_the_next() -> None:
    trip = resuming("zeus", "local", body=b'{"model":"gpt-5","prompt":[1,2],"stream":true}')
    trip.streams("acme", WORDS["a"])
    trip.fails("acme", Kind.CUT)
    assert json.loads(trip.at("local").body)["delivered_text"] == "a"
    assert trip.upstreams["zeus"].transport.dispatched == []


def test_client_that_does_not_read_stops_whoever_goes_on() -> None:
    trip = resuming("local")
    trip.streams("acme", WORDS["a"])
    trip.drive.pause()
    trip.fails("acme", Kind.CUT)
    assert trip.streams("local", WORDS["b"]).asked == ["pause"]
    trip.drive.resume()
    assert trip.at("local").asked == ["pause", "resume"]


def test_client_that_leaves_frees_whoever_goes_on() -> None:
    trip = resuming("local")
    trip.streams("acme", WORDS["a"])
    trip.fails("acme", Kind.CUT)
    trip.drive.client_gone()
    assert trip.at("local").is_over
    assert trip.account.result is Result.CLIENT_GONE


def test_client_that_waits_for_somebody_to_go_on_gets_signs_of_life() -> None:
    trip = resuming("local")
    trip.streams("acme", WORDS["a"])
    trip.deadlines.advance(PERIOD_SECONDS)
    assert COMMENT not in trip.stream[0], "the upstream is silent, but nobody waits for anybody else"
    trip.fails("acme", Kind.CUT)
    trip.deadlines.advance(PERIOD_SECONDS)
    trip.streams("local", WORDS["b"])
    trip.deadlines.advance(PERIOD_SECONDS)
    assert trip.stream[0].count(COMMENT) == 1
    trip.at("local").send(STOP, DONE)
    trip.at("local").end()
    assert (texts(trip.stream[0]), trip.deadlines.watched) == ("ab", set())


# ---- an understudy beside a silent upstream

STREAM_PATIENCE = Timeouts().first_content_seconds / 4
PATIENCE = 0.05


def hedged(*, is_stream: bool = True) -> Trip:
    """A trip whose first upstream is oddly silent; of an unstreamed answer that is said where it is suspect."""
    trip = Trip(is_stream=is_stream, names=("acme", "local"), hedges=True, prefills={"local": "hotspare"}, body=ASKED)
    if not is_stream:
        trip.pool.adopt_failure(KEY, "chat/completions")
    trip.drive.begin()
    assert trip.upstreams["local"].transport.dispatched == []
    trip.deadlines.advance(STREAM_PATIENCE if is_stream else PATIENCE)
    return trip


def test_unstreamed_answer_that_is_not_suspect_has_until_the_deadline() -> None:
    trip = Trip(names=("acme", "local"), hedges=True)
    trip.drive.begin()
    trip.deadlines.advance(Timeouts().answer_seconds)
    trip.deadlines.advance(0.05)
    trip.at("local").answer(ANSWER)
    assert trip.client.writes == []
    trip.at("acme").answer(b'{"choices":[]}')
    assert trip.fields["x-hotspare-upstream"] == "acme"


def test_local_model_starts_beside_a_silent_upstream_and_is_not_seen() -> None:
    trip = hedged()
    trip.streams("local", WORDS["a"], WORDS["b"])
    assert (trip.client.writes, trip.at("acme").is_over) == ([], False)


def test_upstream_that_comes_in_time_is_preferred_and_the_understudy_freed() -> None:
    trip = hedged()
    trip.streams("local", WORDS["a"])
    trip.streams("acme", TEXT, STOP, DONE).end()
    assert trip.stream == (TEXT + STOP + DONE, True)
    assert trip.at("local").is_over
    assert trip.kinds == [("local", Kind.NOT_NEEDED), ("acme", Kind.OK)]


def test_understudy_takes_over_with_all_that_it_has_said() -> None:
    trip = hedged()
    local = trip.streams("local", WORDS["a"], WORDS["b"])
    trip.deadlines.advance(Timeouts().first_content_seconds - STREAM_PATIENCE)
    assert trip.stream == (WORDS["a"] + WORDS["b"], False)
    local.send(WORDS["c"] + STOP + DONE)
    local.end()
    assert (texts(trip.stream[0]), trip.ended, trip.account.upstream) == ("abc", [200], "local")
    assert trip.fields["x-hotspare-reason"] == "acme: first_content_timeout"
    assert trip.kinds == [("acme", Kind.FIRST_CONTENT_TIMEOUT), ("local", Kind.OK)]


def test_understudy_that_had_finished_is_the_whole_answer() -> None:
    trip = hedged()
    trip.streams("local", WORDS["a"], STOP, DONE).end()
    trip.fails("acme")
    assert (texts(trip.stream[0]), trip.stream[1], trip.ended) == ("a", True, [200])


def test_failure_makes_a_silent_understudy_the_one_to_wait_for() -> None:
    trip = hedged()
    trip.fails("acme")
    assert trip.client.writes == []
    trip.streams("local", WORDS["a"], STOP, DONE).end()
    assert (texts(trip.stream[0]), trip.ended) == ("a", [200])


def test_unstreamed_answer_that_is_too_slow_yields() -> None:
    trip = hedged(is_stream=False)
    trip.at("local").answer(ANSWER)
    assert trip.client.writes == []
    trip.deadlines.advance(Timeouts().answer_seconds)
    assert (trip.status, trip.body, trip.at("acme").is_over) == (200, ANSWER, True)
    assert trip.kinds == [("acme", Kind.SLOW), ("local", Kind.OK)]


def test_unstreamed_answer_that_comes_before_is_preferred() -> None:
    trip = hedged(is_stream=False)
    trip.at("local").answer(ANSWER)
    trip.at("acme").answer(b'{"choices":[]}')
    assert (trip.body, trip.fields["x-hotspare-upstream"]) == (b'{"choices":[]}', "acme")


def test_slow_unstreamed_answer_is_waited_for_while_there_is_no_other() -> None:
    trip = hedged(is_stream=False)
    trip.fails("local", Kind.SERVER_ERROR)
    trip.deadlines.advance(Timeouts().answer_seconds)
    trip.at("acme").answer(ANSWER)
    assert (trip.body, trip.fields["x-hotspare-upstream"]) == (ANSWER, "acme")


def test_client_that_leaves_frees_both() -> None:
    trip = hedged()
    trip.streams("local", WORDS["a"])
    trip.drive.client_gone()
    assert (trip.at("acme").is_over, trip.at("local").is_over) == (True, True)
    assert sorted(trip.kinds) == [("acme", Kind.CLIENT_GONE), ("local", Kind.CLIENT_GONE)]
    assert len(trip.pool.given) == len(trip.pool.returned) == 2


def test_stream_that_breaks_after_its_understudy_was_freed_goes_on() -> None:
    trip = hedged()
    trip.streams("local", WORDS["a"])
    trip.streams("acme", WORDS["b"])
    trip.fails("acme", Kind.CUT)
    trip.streams("local", WORDS["c"], STOP, DONE).end()
    assert texts(trip.stream[0]) == "bc"


def test_understudy_that_breaks_off_is_gone_on_with_when_it_is_needed() -> None:
    trip = hedged()
    trip.streams("local", WORDS["a"])
    trip.fails("local", Kind.CUT)
    trip.fails("acme")
    trip.streams("local", WORDS["b"], STOP, DONE).end()
    assert (texts(trip.stream[0]), trip.account.result) == ("ab", Result.ANSWERED)


def test_mistake_of_ours_in_the_understudy_is_told_and_not_the_clients_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    trip = Trip(is_stream=True, names=("acme", "local"), hedges=True)
    trip.drive.begin()
    monkeypatch.setattr(Upstream, "dispatch", failing)
    trip.deadlines.advance(STREAM_PATIENCE)
    trip.streams("acme", TEXT, STOP, DONE).end()
    assert trip.stream == (TEXT + STOP + DONE, True)
    assert [event.where for event in trip.events if isinstance(event, FaultCaught)] == ["understudy"]
    assert trip.kinds == [("local", Kind.UNAVAILABLE), ("acme", Kind.OK)]


# ---- what is known of an upstream


def test_first_contents_are_learnt_from() -> None:
    trip = Trip(is_stream=True, is_limit_learnt=True)
    trip.drive.begin()
    for _ in range(19):
        trip.pool.learn(KEY, 9.0, 100)
    assert trip.pool.limit_seconds(KEY, 100) == UNLEARNT_SECONDS, "one too few"
    trip.streams("acme", TEXT, STOP, DONE).end()
    trip.clock.now += 10
    assert trip.pool.limit_seconds(KEY, 100) == pytest.approx(36.0, rel=0.1)


def test_whole_answers_are_learnt_from() -> None:
    trip = Trip(names=("acme", "local"))
    trip.drive.begin()
    for _ in range(19):
        trip.pool.learn_answer(KEY, 4.0, b"{}")
    trip.clock.now += 4.0
    trip.at("acme").answer(ANSWER)
    trip.clock.now += 10
    assert trip.pool.usual_answer_seconds(KEY, b"{}") == pytest.approx(4.0, rel=0.1)


def late_for(seconds: float, *, usual_seconds: float | None = None, hedges: bool = True) -> Trip:
    """An unstreamed request that has waited for so long, looked at every second."""
    trip = Trip(names=("acme", "local"), hedges=hedges)
    trip.drive.begin()
    for _ in range(20 if usual_seconds else 0):
        trip.pool.learn_answer(KEY, usual_seconds or 0.0, b"{}")
    wait(trip, seconds)
    return trip


def wait(trip: Trip, seconds: float) -> None:
    for _ in range(int(seconds)):
        trip.deadlines.advance(1.0)


def has_understudy(trip: Trip) -> bool:
    return bool(trip.upstreams["local"].transport.dispatched)


@pytest.mark.parametrize(("usual_seconds", "late_after"), [(4.0, 8), (0.5, 5), (60.0, 30), (None, 30)])
def test_unstreamed_answer_has_an_understudy_when_it_is_later_than_such_answers_are(
    usual_seconds: float | None, late_after: int
) -> None:
    assert not has_understudy(late_for(late_after - 1, usual_seconds=usual_seconds))
    assert has_understudy(late_for(late_after + 1, usual_seconds=usual_seconds))


def test_late_answer_of_an_upstream_that_is_well_is_waited_for() -> None:
    trip = late_for(39, usual_seconds=1.0)
    trip.at("local").answer(ANSWER)
    assert trip.client.writes == []
    trip.at("acme").answer(b'{"choices":[]}')
    assert trip.fields["x-hotspare-upstream"] == "acme"


def test_late_answer_of_an_upstream_that_becomes_suspect_yields() -> None:
    trip = late_for(20, usual_seconds=2.0)
    trip.at("local").answer(ANSWER)
    trip.pool.adopt_failure(KEY, "chat/completions")
    wait(trip, 6)
    assert (trip.body, trip.fields["x-hotspare-reason"]) == (ANSWER, "acme: slow")


@pytest.mark.parametrize(("usual_seconds", "late_after"), [(2.0, 9), (0.1, 6), (None, 31)])
def test_unstreamed_answer_of_a_suspect_upstream_yields_when_it_is_far_later_than_such_answers_are(
    usual_seconds: float | None, late_after: int
) -> None:
    trip = Trip(names=("acme", "local"), hedges=True)
    trip.pool.acquire(KEY, "chat/completions")
    for _ in range(20 if usual_seconds else 0):
        trip.pool.learn_answer(KEY, usual_seconds or 0.0, b"{}")
    trip.pool.adopt_failure(KEY, "chat/completions")
    trip.drive.begin()
    trip.deadlines.advance(0.05)
    trip.at("local").answer(ANSWER)
    wait(trip, late_after - 2)
    assert trip.client.writes == []
    wait(trip, 2)
    assert (trip.body, trip.fields["x-hotspare-reason"]) == (ANSWER, "acme: slow")


def test_suspect_upstream_has_an_understudy_at_once() -> None:
    trip = Trip(is_stream=True, names=("acme", "local"), hedges=True)
    trip.pool.adopt_failure(KEY, "chat/completions")
    trip.drive.begin()
    trip.deadlines.advance(0.05)
    assert len(trip.upstreams["local"].transport.dispatched) == 1
    assert not trip.at("acme").is_over


def test_event_of_the_attempt_has_its_times_and_its_phases() -> None:
    trip = begun(is_stream=True)
    trip.clock.now += 2
    dispatch = trip.streams("acme", TEXT, STOP)
    trip.clock.now += 3
    dispatch.end()
    (event,) = trip.attempts
    assert (event.request_id, event.number, event.model) == ("req-1", 1, "gpt-5")
    assert (event.seconds, event.first_content_seconds, event.phases) == (5.0, 2.0, dispatch.phases)
    assert trip.account.first_content_at == 1002.0


# ---- the client


@pytest.mark.parametrize("pieces", [[], [ROLE], [TEXT]])
def test_client_that_leaves_stops_the_upstream_and_blames_nobody(pieces: list[bytes]) -> None:
    trip = begun(is_stream=True)
    dispatch = trip.streams("acme", *pieces)
    trip.drive.client_gone()
    assert (trip.ended, trip.account.result, trip.kinds) == (
        [CLIENT_GONE],
        Result.CLIENT_GONE,
        [("acme", Kind.CLIENT_GONE)],
    )
    assert dispatch.asked == ["cancel"]
    assert trip.upstreams["zeus"].transport.dispatched == []


def test_client_that_leaves_after_its_answer_was_not_gone() -> None:
    trip = begun()
    trip.at("acme").answer(ANSWER)
    trip.drive.client_gone()
    assert (trip.ended, trip.account.result, trip.kinds) == ([200], Result.ANSWERED, [("acme", Kind.OK)])


def test_client_that_does_not_read_pauses_the_upstream() -> None:
    trip = begun(is_stream=True)
    dispatch = trip.streams("acme", TEXT)
    trip.drive.pause()
    trip.drive.resume()
    dispatch.send(STOP)
    dispatch.end()
    trip.drive.pause()
    assert dispatch.asked == ["pause", "resume"]


def test_client_that_has_not_read_its_last_answer_pauses_the_upstream_at_the_first_content() -> None:
    trip = begun(is_stream=True)
    trip.drive.pause()
    dispatch = trip.streams("acme", TEXT)
    assert dispatch.asked == ["pause"]


def test_local_model_hears_whose_request_it_is_and_until_when_it_is_wanted() -> None:
    trip = begun(names=("acme", "local"))
    trip.clock.now += 10
    trip.fails("acme")
    lines = trip.at("local").head.lower().split(b"\r\n")
    assert [line for line in lines if line.startswith(b"x-hotspare")] == [
        b"x-hotspare-client: billing",
        b"x-hotspare-deadline-seconds: 50.000",
        b"x-hotspare-shrink: 1",
    ]


# ---- permits and mistakes


def test_every_attempt_is_told_once() -> None:
    trip = begun(is_stream=True, names=("acme", "zeus", "local"))
    trip.fails("acme")
    trip.streams("zeus", ERROR)
    trip.at("zeus").sink.failed(Outcome(Kind.CUT))
    trip.streams("local", TEXT, STOP, DONE).end()
    trip.drive.client_gone()
    trip.deadlines.advance(1000)
    assert trip.kinds == [("acme", Kind.RESET), ("zeus", Kind.BAD_ANSWER), ("local", Kind.OK)]
    assert (trip.account.attempts, trip.ended, trip.deadlines.watched) == (3, [200], set())
    assert trip.pool.returned == trip.pool.given


def test_first_content_lets_the_next_request_try_an_upstream_that_recovers() -> None:
    trip = Trip(is_stream=True, names=("acme",), is_probed=False)
    trip.pool.adopt_opened(KEY, "chat/completions", 1.0)
    trip.clock.now += 10
    trip.drive.begin()
    assert isinstance(trip.pool.acquire(KEY, "chat/completions"), Refusal)
    trip.streams("acme", TEXT)
    assert isinstance(trip.pool.acquire(KEY, "chat/completions"), Permit)


def test_request_that_proves_invalid_when_it_is_sent_is_refused() -> None:
    trip = Trip(names=("local",), body=b'{"\xff":1,"model":"gpt-5"}')
    trip.drive.begin()
    assert (trip.status, trip.ended, trip.account.result) == (400, [400], Result.CALLER_ERROR)
    assert trip.kinds == [("local", Kind.CLIENT_GONE)]


async def test_request_that_proves_invalid_behind_the_gate_is_refused() -> None:
    gate = FakeGate(is_open=False)
    trip = Trip(names=("local",), gate=gate, body=b'{"\xff":1,"model":"gpt-5"}')
    trip.drive.begin()
    gate.decide(is_open=True)
    await turn()
    assert (trip.status, trip.ended, trip.kinds) == (400, [400], [("local", Kind.CLIENT_GONE)])


async def test_shut_gate_gives_way_to_a_503() -> None:
    gate = FakeGate(is_open=False)
    trip = Trip(names=("local",), gate=gate)
    trip.drive.begin()
    await turn()
    gate.decide(is_open=False)
    await turn()
    assert (trip.status, trip.kinds) == (503, [("local", Kind.UNAVAILABLE)])


class Mistake(RuntimeError):
    """Of ours."""


def failing(*_: object, **__: object) -> bytes:
    raise Mistake


def is_told(trip: Trip) -> bool:
    """Whether a mistake of ours was told, the request ended, and its attempt reported, each of them once."""
    faults = [event for event in trip.events if isinstance(event, FaultCaught)]
    has_returned = trip.pool.returned == trip.pool.given
    told = (len(faults), len(trip.ended), len(trip.attempts), has_returned, trip.account.result)
    return told == (1, 1, 1, True, Result.FAULT)


def test_mistake_of_ours_before_the_first_attempt_is_a_500(monkeypatch: pytest.MonkeyPatch) -> None:
    trip = Trip()
    monkeypatch.setattr(CountingPool, "acquire", failing)
    trip.drive.begin()
    told = [type(event) for event in trip.events]
    assert (trip.status, trip.ended, told, trip.account.result) == (500, [500], [FaultCaught], Result.FAULT)


def test_mistake_of_ours_before_an_answer_is_a_500(monkeypatch: pytest.MonkeyPatch) -> None:
    trip = begun()
    monkeypatch.setattr("proxy.wire.completion.is_whole", failing)
    trip.at("acme").answer(ANSWER)
    assert (trip.status, is_told(trip)) == (500, True)


def test_mistake_of_ours_in_a_stream_cuts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    trip = begun(is_stream=True)
    dispatch = trip.streams("acme", TEXT)
    monkeypatch.setattr("proxy.server.journal.Journal.add", failing)
    dispatch.send(TEXT)
    assert (trip.client.is_aborted, trip.stream[1], is_told(trip)) == (True, False, True)


def test_mistake_of_ours_when_an_answer_is_written_is_a_500_and_reports_once(monkeypatch: pytest.MonkeyPatch) -> None:
    trip = begun()
    monkeypatch.setattr("proxy.server.drive.answer_lines", failing)
    trip.at("acme").answer(ANSWER)
    assert (trip.status, is_told(trip)) == (500, True)


def test_mistake_of_ours_after_a_failure_leaves_no_client_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    trip = begun(names=("acme",))
    monkeypatch.setattr("proxy.server.drive.unavailable", failing)
    trip.at("acme").answer(b"busy", status=529)
    assert (trip.status, is_told(trip)) == (500, True)


def test_mistake_of_ours_after_a_broken_exchange_leaves_no_client_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    trip = begun(names=("acme",))
    monkeypatch.setattr("proxy.server.drive.unavailable", failing)
    trip.fails("acme")
    assert (trip.status, is_told(trip)) == (500, True)


def test_mistake_of_ours_when_time_is_up_leaves_no_client_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    trip = begun(names=("acme",))
    monkeypatch.setattr("proxy.server.drive.unavailable", failing)
    trip.deadlines.advance(DEADLINE_SECONDS)
    assert (trip.status, is_told(trip)) == (500, True)


def test_mistake_after_the_end_is_told_and_ends_nothing_twice() -> None:
    trip = Trip(on_end=failing)
    trip.drive.begin()
    trip.at("acme").answer(ANSWER)
    faults = [event for event in trip.events if isinstance(event, FaultCaught)]
    assert (trip.ended, len(faults), trip.kinds) == ([200], 1, [("acme", Kind.OK)])


def test_mistake_after_the_end_hangs_up_behind_the_answer() -> None:
    trip = Trip(on_end=failing)
    trip.drive.begin()
    trip.at("acme").answer(ANSWER)
    assert (trip.body, trip.client.is_closing(), trip.client.is_aborted) == (ANSWER, True, False)


def test_client_that_leaves_before_anything_was_sent_ends_the_request_too() -> None:
    trip = Trip()
    trip.drive.client_gone()
    trip.drive.client_gone()
    assert (trip.ended, trip.account.result, trip.attempts) == ([CLIENT_GONE], Result.CLIENT_GONE, [])


def test_request_that_nobody_can_take_is_given_up_at_once() -> None:
    trip = begun(names=())
    assert (trip.status, trip.ended, trip.account.attempts) == (503, [503], 0)
