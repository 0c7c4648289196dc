"""What of an upstream's answer may be shown, and what its end is worth."""

import gzip
from collections.abc import Sequence

import pytest

from proxy.core.outcome import OK, Kind, Outcome
from proxy.server import answer as module
from proxy.server.answer import StreamAnswer, WholeAnswer
from proxy.server.journal import Budget
from proxy.upstreams.transport import AttemptFailed
from proxy.wire import sse
from proxy.wire.headers import Fields
from tests.unit.server.completions import (
    ANSWER,
    DONE,
    ERROR,
    OTHER_STOP,
    OTHER_TEXT,
    PING,
    ROLE,
    STOP,
    TEXT,
    USAGE,
)
from tests.unit.stand_ins import EVENT_STREAM, JSON, response_head

CUT = Outcome(Kind.CUT, 200, detail="ended early")


def whole(*, is_checked: bool = True, fields: Fields = JSON) -> WholeAnswer:
    return WholeAnswer(response_head(fields=fields), OK, is_checked=is_checked)


def stream(*pieces: bytes, fields: Fields = EVENT_STREAM) -> tuple[StreamAnswer, list[bytes]]:
    """A stream that has got these bytes, and what it let through for each of them."""
    answer = StreamAnswer(response_head(fields=fields), Budget())
    return answer, [answer.take(piece) for piece in pieces]


def fault(*pieces: bytes) -> Outcome:
    """What a stream that shows these bytes fails with."""
    with pytest.raises(AttemptFailed) as caught:
        stream(*pieces)
    return caught.value.outcome


# ---- whole answers


def test_whole_answer_is_held_until_its_end() -> None:
    answer = whole()
    assert [answer.take(ANSWER[:9]), answer.take(ANSWER[9:])] == [b"", b""]
    assert answer.end() == (OK, ANSWER)


@pytest.mark.parametrize("body", [b"<html>", b"", b'{"error":{"message":"x"}}', ANSWER[:-4], b"[]"])
def test_what_is_no_completion_fails(body: bytes) -> None:
    answer = whole()
    answer.take(body)
    with pytest.raises(AttemptFailed) as caught:
        answer.end()
    assert caught.value.outcome == Outcome(Kind.BAD_ANSWER, 200, detail="not a completion")


def test_answer_that_need_not_be_a_completion_may_be_anything() -> None:
    answer = whole(is_checked=False)
    answer.take(b"<h1>Bad Request</h1>")
    assert answer.end() == (OK, b"<h1>Bad Request</h1>")


def test_answer_that_was_compressed_unasked_passes_unseen() -> None:
    answer = whole(fields=[*JSON, ("Content-Encoding", "gzip")])
    answer.take(gzip.compress(ANSWER))
    assert gzip.decompress(answer.end()[1]) == ANSWER


def test_answer_that_says_it_is_plain_is_checked() -> None:
    answer = whole(fields=[*JSON, ("Content-Encoding", "Identity")])
    answer.take(b"<html>")
    with pytest.raises(AttemptFailed):
        answer.end()


def test_answer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ANSWER_BYTES", 100)
    answer = whole()
    answer.take(b"x" * 100)
    with pytest.raises(AttemptFailed) as caught:
        answer.take(b"x")
    assert caught.value.outcome == Outcome(Kind.BAD_ANSWER, 200, detail="answer too large")


def test_answer_that_is_too_large_in_one_piece_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ANSWER_BYTES", 100)
    with pytest.raises(AttemptFailed) as caught:
        whole().take(b"x" * 101)
    assert caught.value.outcome == Outcome(Kind.BAD_ANSWER, 200, detail="answer too large")


def test_whole_answer_that_is_cut_keeps_its_failure() -> None:
    answer = whole()
    answer.take(ANSWER)
    assert answer.broken(CUT) == CUT


# ---- a stream before its first content


def test_stream_is_held_until_its_first_content() -> None:
    _, shown = stream(PING, ROLE, PING + TEXT[:10], TEXT[10:] + TEXT[:5])
    assert shown == [b"", b"", b"", PING + ROLE + PING + TEXT]


def test_finish_without_content_is_shown() -> None:
    assert stream(ROLE, STOP)[1] == [b"", ROLE + STOP]


@pytest.mark.parametrize(
    ("pieces", "detail"),
    [
        pytest.param([ERROR], "error event", id="error"),
        pytest.param([ROLE, PING, ERROR], "error event", id="error after the role"),
        pytest.param([ROLE + ERROR + TEXT], "error event", id="error before content"),
        pytest.param([ROLE, DONE], "ended without content", id="done without content"),
        pytest.param([sse.event(b"oops")], "error event", id="no JSON"),
    ],
)
def test_stream_that_shows_a_fault_first_fails(pieces: Sequence[bytes], detail: str) -> None:
    assert fault(*pieces) == Outcome(Kind.BAD_ANSWER, 200, detail=detail)


@pytest.mark.parametrize("pieces", [[], [ROLE], [PING, PING], [TEXT[:-1]]])
def test_stream_that_ends_before_its_content_is_cut(pieces: Sequence[bytes]) -> None:
    answer, _ = stream(*pieces)
    with pytest.raises(AttemptFailed) as caught:
        answer.end()
    assert caught.value.outcome.kind is Kind.CUT


def test_stream_that_breaks_before_its_content_keeps_its_failure() -> None:
    answer, _ = stream(ROLE)
    assert answer.broken(CUT) == CUT


@pytest.mark.parametrize("fields", [JSON, [("Content-Type", "text/html")], []])
def test_stream_that_is_none_fails(fields: Fields) -> None:
    with pytest.raises(AttemptFailed) as caught:
        stream(fields=fields)
    assert caught.value.outcome.kind is Kind.BAD_ANSWER


def test_media_type_is_read_in_any_case() -> None:
    assert stream(TEXT, fields=[("content-type", "Text/Event-Stream;charset=UTF-8")])[1] == [TEXT]


@pytest.mark.parametrize("piece", [ROLE, b"data: " + b"x" * 100])
def test_stream_that_talks_without_content_is_given_up(monkeypatch: pytest.MonkeyPatch, piece: bytes) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1000)
    assert fault(*[piece] * 100).kind is Kind.BAD_ANSWER


# ---- a stream that is shown


def test_every_byte_is_shown_as_it_came_once_its_event_is_whole() -> None:
    whole = PING + STOP + USAGE + DONE
    answer, shown = stream(TEXT, whole[:7], whole[7:50], whole[50:51], whole[51:])
    assert b"".join(shown) == TEXT + whole
    assert answer.end() == (Outcome(Kind.OK, 200), None)


def test_half_an_event_is_never_shown() -> None:
    answer, shown = stream(TEXT, TEXT[:20])
    assert (b"".join(shown), answer.broken(CUT)) == (TEXT, CUT)


@pytest.mark.parametrize("bad", [ERROR, b"data: {\n\n", b"data: <html>\n\n"])
def test_event_that_must_not_be_shown_is_a_fault_behind_what_may_be(bad: bytes) -> None:
    answer, shown = stream(TEXT, TEXT + bad + TEXT)
    assert shown == [TEXT, TEXT]
    assert answer.fault is not None
    assert answer.remains() == (TEXT + TEXT, bad if bad is ERROR else b"")


def test_event_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1000)
    assert fault(TEXT, *[b"data: " + b"x" * 200] * 10).kind is Kind.BAD_ANSWER


VERDICTS: dict[str, tuple[Sequence[bytes], Kind]] = {
    "finished and done": ([TEXT, STOP, DONE], Kind.OK),
    "finished, with usage, and done": ([TEXT, STOP, USAGE, DONE], Kind.OK),
    "finished and not done": ([TEXT, STOP], Kind.OK),
    "finished in what was held": ([TEXT + STOP + DONE], Kind.OK),
    "done and not finished": ([TEXT, DONE], Kind.OK),
    "finished, then silent": ([TEXT, STOP, PING], Kind.OK),
    "finished, then half an event": ([TEXT, STOP, DONE[:3]], Kind.OK),
    "not finished": ([TEXT, TEXT], Kind.CUT),
    "one of two finished": ([TEXT, OTHER_TEXT, STOP], Kind.CUT),
    "one of two finished, in one block": ([TEXT + OTHER_TEXT + STOP], Kind.CUT),
    "one of two finished, the other long silent": ([OTHER_TEXT, *[TEXT] * 500, STOP], Kind.CUT),
    "one of two finished, then an error event": ([TEXT, OTHER_TEXT, STOP, ERROR], Kind.CUT),
    "both finished": ([TEXT, OTHER_TEXT, STOP, OTHER_STOP], Kind.OK),
    "one of two finished, and done": ([TEXT, OTHER_TEXT, STOP, DONE], Kind.OK),
    "error event": ([TEXT, ERROR], Kind.CUT),
    "finished, then an error event": ([TEXT, STOP, ERROR], Kind.OK),
    "the word error": ([TEXT, sse.event(b'{"choices":[{"delta":{"content":"\\"error\\""}}]}'), DONE], Kind.OK),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_stream_that_is_shown_is_judged_by_its_end(name: str) -> None:
    pieces, kind = VERDICTS[name]
    answer, _ = stream(*pieces)
    outcome, body = answer.end()
    assert (outcome.kind, outcome.status, body) == (kind, 200, None)


@pytest.mark.parametrize("failure", [CUT, Outcome(Kind.STALL, 200), Outcome(Kind.RESET, 200)])
def test_how_the_connection_went_matters_only_to_a_stream_that_was_not_at_its_end(failure: Outcome) -> None:
    unfinished, _ = stream(TEXT)
    finished, _ = stream(TEXT, STOP)
    assert (unfinished.broken(failure), finished.broken(failure).kind) == (failure, Kind.OK)


@pytest.mark.parametrize("count", [1, 4, 20])
def test_keep_alives_do_not_push_the_finish_out_of_sight(count: int) -> None:
    answer, _ = stream(TEXT, STOP, *[PING] * count)
    assert answer.broken(CUT).kind is Kind.OK


@pytest.mark.parametrize(("piece", "is_keep_alive"), [(PING, True), (PING + TEXT, False), (TEXT, False)])
def test_answer_tells_a_keep_alive_from_content(piece: bytes, is_keep_alive: bool) -> None:
    answer, _ = stream(TEXT, piece)
    assert answer.is_keep_alive is is_keep_alive


def test_where_the_beginning_was_forgotten_the_tail_tells_whether_an_answer_is_open() -> None:
    answer = StreamAnswer(response_head(fields=EVENT_STREAM), Budget(limit_bytes=0))
    for piece in [*[TEXT] * 500, OTHER_TEXT, STOP]:
        answer.take(piece)
    assert answer.remains().delivered is None
    assert answer.broken(CUT) is CUT


def test_memory_of_a_stream_is_given_back_when_it_is_over() -> None:
    budget = Budget()
    answer = StreamAnswer(response_head(fields=EVENT_STREAM), budget)
    for _ in range(500):
        answer.take(TEXT)
    used = budget.used_bytes
    answer.close()
    assert (used > 0, budget.used_bytes) == (True, 0)
