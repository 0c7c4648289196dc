"""What a drill lets an attempt hear, in every shape."""

import asyncio
import random
from collections.abc import Callable
from typing import cast

import pytest

from proxy.core.drill_report import CUTS, HARMLESS, MIDWAY, Shape
from proxy.core.outcome import Kind, Outcome
from proxy.upstreams.dispatch import Dispatch
from proxy.upstreams.failure import AttemptFailed
from proxy.upstreams.sabotage import Saboteur
from proxy.upstreams.slowness import Slowness
from proxy.upstreams.upstream import Identity
from proxy.wire.http1 import ResponseHead
from tests.unit.stand_ins import EVENT_STREAM, FakeClock, FakeDispatch, FakeUpstream, call, response_head, turn

PIECES = [b'data: {"choices":[{"delta":{"content":"%d"}}]}\n\n' % number for number in range(4)]
ROLE = b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n'
DONE = b"data: [DONE]\n\n"
FINISH = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
BREAKING = MIDWAY - HARMLESS
BEFORE_THE_ANSWER = {
    Shape.REFUSED: Kind.CONNECT,
    Shape.DNS: Kind.DNS,
    Shape.TLS: Kind.TLS,
    Shape.CONNECT_HANG: Kind.CONNECT_TIMEOUT,
    Shape.RESET: Kind.RESET,
}
STATUSES = {
    Shape.STATUS_401: 401,
    Shape.STATUS_402: 402,
    Shape.STATUS_403: 403,
    Shape.STATUS_500: 500,
    Shape.STATUS_502: 502,
    Shape.STATUS_503: 503,
    Shape.STATUS_504: 504,
    Shape.STATUS_429: 429,
    Shape.STATUS_429_BARE: 429,
}


class Recorder:
    """A sink that writes down what it hears."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.pieces: list[bytes] = []
        self.last = ""
        self.outcome: Outcome | None = None

    def whole(self, head: ResponseHead, body: bytes) -> None:
        self.head(head)
        self.body(body)
        self.end()

    def head(self, head: ResponseHead) -> None:
        self.statuses.append(head.status)

    def body(self, data: bytes) -> None:
        self.pieces.append(data)

    @property
    def text(self) -> bytes:
        return b"".join(self.pieces)

    def end(self) -> None:
        self.last = "end"

    def failed(self, outcome: Outcome) -> None:
        self.last = "failed"
        self.outcome = outcome


class Drilled:
    """An upstream in a drill, and what was heard of its one request."""

    def __init__(self, pick: Callable[[str, float], Shape | None]) -> None:
        self.upstream = FakeUpstream(Identity("cloud", "http://127.0.0.1:9/v1"))
        self.saboteur = Saboteur(pick, random.Random(7), FakeClock())
        self.upstream.sabotage = self.saboteur
        self.heard = Recorder()

    def ask(self, target: str = "/chat/completions") -> Dispatch:
        return self.upstream.dispatch(call(target=target), None, self.heard, connect_seconds=0.0, extra=[])

    @property
    def real(self) -> FakeDispatch:
        """What went to the transport."""
        return self.upstream.last


def drilled(shape: Shape | None) -> Drilled:
    return Drilled(lambda _, __: shape)


@pytest.mark.parametrize("shape", BEFORE_THE_ANSWER)
async def test_what_fails_before_the_answer_fails_as_what_it_looks_like(shape: Shape) -> None:
    drill = drilled(shape)
    dispatch = drill.ask()
    assert drill.heard.last == "", "the sink hears nothing before dispatch has returned"
    await turn()
    assert drill.heard.outcome is not None
    assert drill.heard.outcome.kind is BEFORE_THE_ANSWER[shape]
    assert dispatch.is_over
    assert drill.upstream.transport.dispatched == []


@pytest.mark.parametrize("shape", STATUSES)
async def test_status_comes_with_an_error_of_openais_shape(shape: Shape) -> None:
    drill = drilled(shape)
    drill.ask()
    await turn()
    assert (drill.heard.statuses, drill.heard.last) == ([STATUSES[shape]], "end")
    assert drill.heard.text.startswith(b'{"error":{')


@pytest.mark.parametrize(
    ("shape", "statuses", "text", "last"),
    [
        (Shape.SILENT, [], b"", ""),
        (Shape.HEADERS_THEN_SILENT, [200], b"", ""),
        (Shape.ROLE_THEN_SILENT, [200], b'"role":"assistant"', ""),
        (Shape.KEEPALIVES_ONLY, [200], b"", ""),
        (Shape.HTML, [200], b"<!doctype html>", "end"),
        (Shape.ERROR_BODY, [200], b'{"error":{', "end"),
        (Shape.TRUNCATED, [200], b'"role":"assistant"', "end"),
        (Shape.WRONG_LENGTH, [200], b'"finish_reason":"stop"', "failed"),
    ],
)
async def test_answer_that_is_none(shape: Shape, statuses: list[int], text: bytes, last: str) -> None:
    drill = drilled(shape)
    dispatch = drill.ask()
    await turn()
    assert (drill.heard.statuses, drill.heard.last) == (statuses, last)
    assert text in drill.heard.text
    dispatch.cancel()


@pytest.mark.parametrize("shape", BREAKING)
async def test_stream_breaks_behind_its_second_piece(shape: Shape) -> None:
    drill = drilled(shape)
    drill.ask()
    drill.real.begin(fields=EVENT_STREAM)
    drill.real.send(ROLE + PIECES[0], PIECES[1][:20], PIECES[1][20:] + PIECES[2], PIECES[3])
    whole = ROLE + PIECES[0] + PIECES[1]
    assert drill.heard.text.startswith(whole)
    behind = drill.heard.text.removeprefix(whole)
    assert (behind != b"", drill.heard.last) == {
        Shape.CUT: (False, "failed"),
        Shape.CUT_BY_RESET: (False, "failed"),
        Shape.CUT_IN_EVENT: (True, "failed"),
        Shape.CUT_IN_CHARACTER: (True, "failed"),
        Shape.STALL: (False, ""),
        Shape.ERROR_EVENT: (True, "end"),
        Shape.MALFORMED: (True, ""),
        Shape.NO_FINISH: (False, "end"),
    }[shape]


@pytest.mark.parametrize("shape", BREAKING - {Shape.STALL, Shape.MALFORMED})
async def test_real_exchange_is_left_when_its_answer_is_broken(shape: Shape) -> None:
    drill = drilled(shape)
    drill.ask()
    drill.real.begin(fields=EVENT_STREAM)
    drill.real.send(*PIECES)
    assert drill.real.asked == ["cancel"]


async def test_stalled_stream_keeps_its_connection_unread() -> None:
    drill = drilled(Shape.STALL)
    drill.ask()
    drill.real.begin(fields=EVENT_STREAM)
    drill.real.send(*PIECES)
    assert drill.real.asked == ["pause"]


async def test_short_stream_breaks_before_its_finish() -> None:
    drill = drilled(Shape.CUT)
    drill.ask()
    drill.real.begin(fields=EVENT_STREAM)
    drill.real.send(PIECES[0], FINISH)
    assert (drill.heard.text, drill.heard.last) == (PIECES[0], "failed")


@pytest.mark.parametrize("comes_whole", [True, False])
@pytest.mark.parametrize("shape", BREAKING)
async def test_unstreamed_answer_breaks(shape: Shape, comes_whole: bool) -> None:
    drill = drilled(shape)
    drill.ask()
    answer = b'{"choices":[{"message":{"content":"Hello."}}]}'
    if comes_whole:
        drill.real.sink.whole(response_head(), answer)
    else:
        drill.real.answer(answer)
    expected = {**dict.fromkeys(CUTS, "failed"), Shape.STALL: ""}
    assert (drill.heard.statuses, drill.heard.last) == ([200], expected.get(shape, "end"))
    assert drill.heard.text != answer
    assert (b'{"error"' in drill.heard.text) is (shape is Shape.ERROR_EVENT)


@pytest.mark.parametrize(
    ("shape", "behind"),
    [(Shape.CUT_IN_EVENT, b'"content":"'), (Shape.CUT_IN_CHARACTER, b'"content":"\xe2\x82')],
)
async def test_stream_is_cut_in_the_middle_of_what_comes_next(shape: Shape, behind: bytes) -> None:
    drill = drilled(shape)
    drill.ask()
    drill.real.begin(fields=EVENT_STREAM)
    drill.real.send(*PIECES)
    assert drill.heard.text.endswith(behind)


async def test_unstreamed_answer_is_cut_in_a_character() -> None:
    drill = drilled(Shape.CUT_IN_CHARACTER)
    drill.ask()
    drill.real.answer(b'{"choices":[{"message":{"content":"Hello."}}]}')
    with pytest.raises(UnicodeDecodeError):
        drill.heard.text.decode()


async def test_stream_lacks_its_done_and_nothing_else() -> None:
    drill = drilled(Shape.NO_DONE)
    drill.ask()
    drill.real.begin(fields=EVENT_STREAM)
    drill.real.send(ROLE + PIECES[0], PIECES[1][:20], PIECES[1][20:] + FINISH + DONE)
    drill.real.end()
    assert (drill.heard.text, drill.heard.last) == (ROLE + PIECES[0] + PIECES[1] + FINISH, "end")


async def test_unstreamed_answer_has_no_done_to_lack() -> None:
    drill = drilled(Shape.NO_DONE)
    drill.ask()
    drill.real.answer(b'{"choices":[]}')
    assert (drill.heard.text, drill.heard.last) == (b'{"choices":[]}', "end")


async def test_drill_sees_the_model_by_its_upstreams_name() -> None:
    models: list[str] = []
    drill = Drilled(lambda model, _: models.append(model))
    drill.upstream.dispatch(call(), "gpt-5-eu", drill.heard, connect_seconds=0.0, extra=[])
    drill.upstream.dispatch(call(), None, drill.heard, connect_seconds=0.0, extra=[])
    await drill.upstream.send(call(), 1.0)
    assert models == ["gpt-5-eu", "gpt-5", "gpt-5"]


async def test_refusal_by_the_real_upstream_passes() -> None:
    drill = drilled(Shape.CUT)
    drill.ask()
    drill.real.answer(b"{}", status=400)
    assert (drill.heard.statuses, drill.heard.text, drill.heard.last) == ([400], b"{}", "end")


@pytest.mark.parametrize("target", ["/embeddings", "/files", "/chat/completions/chatcmpl-1"])
async def test_what_nobody_else_can_answer_is_left_alone(target: str) -> None:
    drill = drilled(Shape.REFUSED)
    drill.ask(target)
    drill.real.answer(b"{}")
    assert drill.heard.last == "end"


async def test_request_draws_once_however_often_it_is_sent() -> None:
    draws: list[float] = []
    drill = Drilled(lambda _, draw: draws.append(draw))
    asked = call()
    for _ in range(3):
        drill.upstream.dispatch(asked, None, drill.heard, connect_seconds=0.0, extra=[])
    assert len(set(draws)) == 1
    assert 0 <= draws[0] < 1


@pytest.mark.parametrize("shape", [Shape.SILENT, Shape.HEADERS_THEN_SILENT, Shape.KEEPALIVES_ONLY])
async def test_end_of_the_drill_frees_who_waits(shape: Shape) -> None:
    drill = drilled(shape)
    drill.ask()
    await turn()
    drill.saboteur.release()
    assert drill.heard.outcome is not None
    assert drill.heard.outcome.kind is Kind.RESET


async def test_end_of_the_drill_frees_a_stalled_stream() -> None:
    drill = drilled(Shape.STALL)
    drill.ask()
    drill.real.begin(fields=EVENT_STREAM)
    drill.real.send(*PIECES)
    drill.saboteur.release()
    assert drill.heard.outcome is not None
    assert drill.heard.outcome.kind is Kind.CUT


async def test_end_of_the_drill_leaves_alone_what_is_not_broken_yet() -> None:
    drill = drilled(Shape.CUT)
    drill.ask()
    drill.real.begin(fields=EVENT_STREAM)
    drill.real.send(PIECES[0], PIECES[1][:10])
    drill.saboteur.release()
    drill.real.send(PIECES[1][10:], PIECES[2], FINISH)
    drill.real.end()
    assert (drill.heard.text, drill.heard.last) == (b"".join(PIECES[:3]) + FINISH, "end")


async def test_late_answer_comes_when_its_time_is_over() -> None:
    drill = drilled(Shape.SLOW_START)
    drill.ask()
    drill.real.answer(b'{"choices":[]}')
    assert (drill.heard.statuses, drill.heard.last) == ([], "")
    drill.saboteur.release()  # as its timer would
    assert (drill.heard.statuses, drill.heard.text, drill.heard.last) == ([200], b'{"choices":[]}', "end")


async def test_answer_of_which_nothing_has_come_passes_once_its_time_is_over() -> None:
    drill = drilled(Shape.SLOW_START)
    drill.ask()
    drill.saboteur.release()
    drill.real.answer(b'{"choices":[]}')
    assert drill.heard.last == "end"


async def test_upstream_is_not_read_on_while_its_answer_is_kept_back() -> None:
    drill = drilled(Shape.SLOW_START)
    drill.ask()
    drill.real.begin(fields=EVENT_STREAM)
    assert drill.real.asked == ["pause"]
    drill.saboteur.release()
    assert drill.real.asked == ["pause", "resume"]


async def test_slow_tokens_come_one_by_one() -> None:
    heard = Recorder()
    slow = Slowness(heard, Shape.SLOW_TOKENS, gap_seconds=0.0)
    slow.head(response_head(fields=EVENT_STREAM))
    for data in (ROLE + PIECES[0], PIECES[1][:20], PIECES[1][20:]):
        slow.body(data)
    slow.end()
    assert (heard.statuses, heard.pieces) == ([200], []), "not at once"
    while not heard.last:
        await turn()
    assert heard.pieces == [ROLE, PIECES[0], PIECES[1]]
    assert slow.is_over


async def test_end_of_the_drill_lets_slow_tokens_run() -> None:
    drill = drilled(Shape.SLOW_TOKENS)
    drill.ask()
    drill.real.begin(fields=EVENT_STREAM)
    drill.real.send(PIECES[0] + PIECES[1] + PIECES[2][:10])
    drill.saboteur.release()
    drill.real.send(PIECES[2][10:] + FINISH)
    drill.real.end()
    assert (drill.heard.text, drill.heard.last) == (b"".join(PIECES[:3]) + FINISH, "end")


async def test_prober_waits_in_vain_for_what_is_late() -> None:
    drill = drilled(Shape.SLOW_START)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await drill.upstream.send(call(), 1.0)
    assert drill.upstream.transport.sent == []


async def test_prober_meets_the_same_fault() -> None:
    drill = drilled(Shape.REFUSED)
    with pytest.raises(AttemptFailed) as caught:
        await drill.upstream.send(call(), 1.0)
    assert caught.value.outcome.kind is Kind.CONNECT
    assert drill.upstream.transport.sent == []


async def test_prober_is_gone_before_a_stream_would_break() -> None:
    drill = drilled(Shape.CUT)
    await drill.upstream.send(call(), 1.0)
    assert len(drill.upstream.transport.sent) == 1


async def test_cancelled_play_is_heard_no_more() -> None:
    drill = drilled(Shape.REFUSED)
    drill.ask().cancel()
    await turn()
    assert drill.heard.last == ""


async def test_those_that_are_over_are_not_kept() -> None:
    drill = drilled(Shape.REFUSED)
    for _ in range(3):
        drill.ask()
        await turn()
    assert len(cast("list[object]", drill.saboteur._broken)) == 1
