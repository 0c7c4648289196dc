"""One attempt, up to what the client may see of it."""

import gzip

import pytest

from proxy.core.candidates import Candidate
from proxy.core.failover import Start
from proxy.core.outcome import Kind, Outcome
from proxy.server import attempt as module
from proxy.server.attempt import OpenStream, Question, WholeAnswer, attempt
from proxy.upstreams.transport import AttemptFailed
from proxy.upstreams.upstream import Identity
from proxy.wire import sse
from proxy.wire.headers import Fields
from tests.unit.stand_ins import EVENT_STREAM, JSON, FakeClock, FakeExchange, FakeUpstream, Piece, call

ROLE = sse.event(b'{"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}]}')
TEXT = sse.event(b'{"choices":[{"delta":{"content":"Hi"},"finish_reason":null}]}')
STOP = sse.event(b'{"choices":[{"delta":{},"finish_reason":"stop"}]}')
DONE = sse.event(b"[DONE]")
PING = b": ping\n\n"
ERROR = sse.event(b'{"error":{"message":"overloaded"}}')
ANSWER = b'{"choices":[{"message":{"content":"Hi"}}]}'
CUT = AttemptFailed(Outcome(Kind.CUT, 200, detail="ClientPayloadError"))

KEYLESS = Identity("acme", "https://acme.test/v1")
OUR_KEY = Identity("acme", "https://acme.test/v1", api_key="sk-ours")
CLIENTS_KEY = Identity("acme", "https://acme.test/v1", forwards_client_key=True)


async def ask(
    exchange: FakeExchange | AttemptFailed,
    *,
    is_stream: bool = False,
    identity: Identity = OUR_KEY,
    patience_seconds: float = 5.0,
) -> WholeAnswer | OpenStream:
    clock = FakeClock()
    limit_at = clock.now + patience_seconds
    start = Start(
        candidate=Candidate("acme", "gpt-5", is_local=False),
        number=1,
        connect_seconds=2.0,
        limit_at=limit_at,
        stall_seconds=15.0,
        late_kind=Kind.FIRST_CONTENT_TIMEOUT if is_stream else Kind.DEADLINE,
    )
    question = Question(call(("authorization", "Bearer sk-client")), "gpt-5", is_stream)
    return await attempt(FakeUpstream(identity, exchange), question, start, [], clock)


async def failure(exchange: FakeExchange | AttemptFailed, **options: object) -> Outcome:
    with pytest.raises(AttemptFailed) as caught:
        await ask(exchange, **options)  # type: ignore[arg-type]
    return caught.value.outcome


def stream(*pieces: Piece, fields: Fields = EVENT_STREAM) -> FakeExchange:
    return FakeExchange(pieces, fields=fields)


# Whole answers


async def test_whole_answer_comes_with_its_fields_and_frees_the_connection() -> None:
    exchange = FakeExchange([ANSWER[:9], ANSWER[9:]])
    answer = await ask(exchange)
    assert answer == WholeAnswer(Outcome(Kind.OK, 200), JSON, ANSWER)
    assert exchange.is_closed


async def test_callers_error_is_an_answer_whatever_it_looks_like() -> None:
    answer = await ask(FakeExchange([b"<h1>Bad Request</h1>"], status=400, fields=[("Content-Type", "text/html")]))
    assert answer == WholeAnswer(
        Outcome(Kind.CALLER_ERROR, 400), [("Content-Type", "text/html")], b"<h1>Bad Request</h1>"
    )


async def test_callers_error_answers_a_stream_too() -> None:
    answer = await ask(FakeExchange([b'{"error":{}}'], status=404), is_stream=True)
    assert isinstance(answer, WholeAnswer)
    assert answer.outcome.kind is Kind.CALLER_ERROR


@pytest.mark.parametrize("body", [b"<html>", b"", b'{"error":{"message":"x"}}', ANSWER[:-4], b"[]"])
async def test_what_is_no_completion_under_200_fails(body: bytes) -> None:
    exchange = FakeExchange([body])
    assert (await failure(exchange)).kind is Kind.BAD_ANSWER
    assert exchange.is_closed


async def test_answer_that_is_cut_can_still_be_failed_over() -> None:
    exchange = FakeExchange([ANSWER[:9], CUT])
    assert (await failure(exchange)).kind is Kind.CUT
    assert exchange.is_closed


async def test_answer_that_was_compressed_unasked_passes_unseen() -> None:
    packed = gzip.compress(ANSWER)
    answer = await ask(FakeExchange([packed], fields=[*JSON, ("Content-Encoding", "gzip")]))
    assert isinstance(answer, WholeAnswer)
    assert answer.body == packed


async def test_answer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ANSWER_BYTES", 100)
    assert await failure(FakeExchange([b"x" * 60] * 2)) == Outcome(Kind.BAD_ANSWER, 200, detail="answer too large")


# Statuses


@pytest.mark.parametrize(
    ("identity", "kind"), [(OUR_KEY, Kind.OUR_KEY), (KEYLESS, Kind.NO_KEY)], ids=["our key", "no key"]
)
async def test_refused_key_that_is_not_the_clients_fails_over(identity: Identity, kind: Kind) -> None:
    assert (await failure(FakeExchange([b"{}"], status=401), identity=identity)).kind is kind


async def test_refused_key_of_the_client_is_the_clients_answer() -> None:
    answer = await ask(FakeExchange([b"{}"], status=401), identity=CLIENTS_KEY)
    assert isinstance(answer, WholeAnswer)
    assert answer.outcome.status == 401


async def test_rate_limit_carries_the_time_to_come_back() -> None:
    exchange = FakeExchange([b"{}"], status=429, fields=[("Retry-After", "17")])
    assert await failure(exchange) == Outcome(Kind.RATE_LIMITED, 429, 17.0)


async def test_retry_after_as_a_date_is_measured_by_the_wall_clock() -> None:
    date = "Tue, 14 Nov 2023 22:30:30 GMT"
    exchange = FakeExchange(status=503, fields=[("Retry-After", date)])
    assert (await failure(exchange)).retry_after_seconds == 1_700_001_030 - FakeClock().wall()


async def test_failed_exchange_is_closed() -> None:
    exchange = FakeExchange(status=500)
    await failure(exchange)
    assert exchange.is_closed


async def test_failure_to_connect_is_passed_on() -> None:
    assert await failure(AttemptFailed(Outcome(Kind.DNS, detail="x"))) == Outcome(Kind.DNS, detail="x")


# Streams


async def test_stream_is_held_until_its_first_content() -> None:
    exchange = stream(PING, ROLE, PING + TEXT[:10], TEXT[10:] + TEXT[:5], b"rest")
    answer = await ask(exchange, is_stream=True)
    assert isinstance(answer, OpenStream)
    assert answer.held == PING + ROLE + PING + TEXT
    assert answer.reader.rest == TEXT[:5]
    assert not exchange.is_closed


async def test_rest_of_a_held_stream_can_be_read_on() -> None:
    answer = await ask(stream(ROLE, TEXT, STOP, DONE), is_stream=True)
    assert isinstance(answer, OpenStream)
    assert [chunk async for chunk in answer.chunks] == [STOP, DONE]


async def test_finish_without_content_is_an_answer() -> None:
    assert isinstance(await ask(stream(ROLE, STOP), is_stream=True), OpenStream)


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([ERROR], id="error"),
        pytest.param([ROLE, PING, ERROR], id="error after the role"),
        pytest.param([ROLE + ERROR + TEXT], id="error before content"),
        pytest.param([ROLE, DONE], id="done without content"),
        pytest.param([sse.event(b"oops")], id="no JSON"),
    ],
)
async def test_stream_that_shows_a_fault_first_fails(pieces: list[Piece]) -> None:
    exchange = stream(*pieces)
    assert (await failure(exchange, is_stream=True)).kind is Kind.BAD_ANSWER
    assert exchange.is_closed


@pytest.mark.parametrize("pieces", [[], [ROLE], [PING, PING], [TEXT[:-1]], [ROLE, CUT]])
async def test_stream_that_ends_before_its_content_is_cut(pieces: list[Piece]) -> None:
    assert (await failure(stream(*pieces), is_stream=True)).kind is Kind.CUT


@pytest.mark.parametrize("fields", [JSON, [("Content-Type", "text/html")], []])
async def test_stream_that_is_none_fails(fields: Fields) -> None:
    assert (await failure(stream(ANSWER, fields=fields), is_stream=True)).kind is Kind.BAD_ANSWER


async def test_media_type_is_read_in_any_case() -> None:
    exchange = stream(TEXT, fields=[("content-type", "Text/Event-Stream;charset=UTF-8")])
    assert isinstance(await ask(exchange, is_stream=True), OpenStream)


@pytest.mark.parametrize("piece", [ROLE, b"data: " + b"x" * 100])
async def test_stream_that_talks_without_content_is_given_up(monkeypatch: pytest.MonkeyPatch, piece: bytes) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1000)
    exchange = stream(*[piece] * 100)
    assert (await failure(exchange, is_stream=True)).kind is Kind.BAD_ANSWER


# Patience


@pytest.mark.parametrize(("is_stream", "kind"), [(True, Kind.FIRST_CONTENT_TIMEOUT), (False, Kind.DEADLINE)])
async def test_attempt_that_begins_too_late_fails_by_the_limit_that_passed(is_stream: bool, kind: Kind) -> None:
    exchange = stream(TEXT) if is_stream else FakeExchange([ANSWER])
    assert await failure(exchange, is_stream=is_stream, patience_seconds=-1) == Outcome(kind)
    assert exchange.is_closed
