"""The pump of a committed stream. Stalls are told by a clock that the stream itself moves."""

import pytest

from proxy.core.outcome import Kind, Outcome
from proxy.server.attempt import OpenStream
from proxy.server.stream import pump
from proxy.upstreams.transport import AttemptFailed
from proxy.wire import sse
from tests.unit.stand_ins import EVENT_STREAM, FakeClock, FakeExchange, Pause, Piece

HELD = sse.event(b'{"choices":[{"delta":{"content":"Hel"},"finish_reason":null}]}')
TEXT = sse.event(b'{"choices":[{"delta":{"content":"lo"},"finish_reason":null}]}')
STOP = sse.event(b'{"choices":[{"delta":{},"finish_reason":"stop"}]}')
USAGE = sse.event(b'{"choices":[],"usage":{"total_tokens":3}}')
DONE = sse.event(b"[DONE]")
ERROR = sse.event(b'{"error":{"message":"overloaded"}}')
PING = b": ping\n\n"
RESET = AttemptFailed(Outcome(Kind.CUT, 200, detail="ClientOSError"))
STALL_SECONDS = 15.0


async def run(*pieces: Piece, held: bytes = HELD) -> tuple[bytes, Outcome]:
    """What the client got, and how it ended."""
    clock, got = FakeClock(), bytearray()
    exchange = FakeExchange(pieces, fields=EVENT_STREAM, clock=clock)

    async def write(block: bytes) -> None:
        got.extend(block)

    outcome = await pump(OpenStream(exchange, exchange.chunks(), sse.EventReader(), held), write, STALL_SECONDS, clock)
    return bytes(got), outcome


async def test_every_byte_is_passed_on_as_it_came() -> None:
    whole = TEXT + PING + STOP + USAGE + DONE
    got, outcome = await run(whole[:7], whole[7:50], whole[50:51], whole[51:])
    assert (got, outcome) == (HELD + whole, Outcome(Kind.OK, 200))


async def test_stream_that_finished_without_done_is_well() -> None:
    assert (await run(TEXT, STOP))[1].kind is Kind.OK


async def test_stream_that_finished_in_what_was_held_is_well() -> None:
    assert (await run(held=HELD + STOP + DONE))[1].kind is Kind.OK


async def test_stream_that_closes_without_finishing_is_cut() -> None:
    assert (await run(TEXT))[1] == Outcome(Kind.CUT, 200, detail="ended without finishing")


async def test_stream_that_breaks_keeps_its_failure() -> None:
    assert (await run(TEXT, RESET))[1] == RESET.outcome


async def test_stream_that_breaks_after_its_finish_is_well() -> None:
    assert (await run(TEXT, STOP, RESET))[1].kind is Kind.OK


async def test_half_an_event_is_never_passed_on() -> None:
    got, outcome = await run(TEXT, TEXT[:20], RESET)
    assert (got, outcome.kind) == (HELD + TEXT, Kind.CUT)


async def test_error_event_is_passed_on_and_ends_badly() -> None:
    got, outcome = await run(TEXT, ERROR)
    assert (got, outcome) == (HELD + TEXT + ERROR, Outcome(Kind.SERVER_ERROR, 200, detail="error event"))


async def test_silence_past_the_limit_is_a_stall() -> None:
    assert (await run(TEXT, Pause(STALL_SECONDS + 1), PING, Pause(1), PING, TEXT))[1].kind is Kind.STALL


async def test_stall_after_the_finish_is_well() -> None:
    assert (await run(STOP, Pause(STALL_SECONDS + 1), PING, Pause(1), PING, DONE))[1].kind is Kind.OK


async def test_keep_alives_do_not_hide_a_stall() -> None:
    pings: list[Piece] = [Pause(1.0), PING] * 30
    got, outcome = await run(TEXT, *pings, TEXT)
    assert outcome.kind is Kind.STALL
    assert got.count(PING) == STALL_SECONDS


async def test_content_puts_the_stall_off() -> None:
    texts: list[Piece] = [Pause(STALL_SECONDS - 1), TEXT] * 5
    assert (await run(*texts, STOP))[1].kind is Kind.OK


async def test_keep_alives_do_not_push_the_finish_out_of_sight() -> None:
    assert (await run(TEXT, STOP, *[PING] * 20))[1].kind is Kind.OK


async def test_event_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1000)
    assert (await run(*[b"data: " + b"x" * 200] * 10))[1].kind is Kind.BAD_ANSWER


async def test_client_that_is_gone_ends_it_at_once() -> None:
    async def write(block: bytes) -> None:
        raise ConnectionResetError

    exchange = FakeExchange([TEXT], fields=EVENT_STREAM)
    with pytest.raises(ConnectionResetError):
        await pump(OpenStream(exchange, exchange.chunks(), sse.EventReader(), HELD), write, STALL_SECONDS, FakeClock())
