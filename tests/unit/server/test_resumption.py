"""A stream that broke: who may be asked to go on with it, and what its client is shown."""

import json

import pytest

from proxy.core.action import Start
from proxy.core.candidates import Candidate, Need
from proxy.core.outcome import Kind
from proxy.server.answer import Remains, Unjoinable
from proxy.server.attempt import Facilities, Question
from proxy.server.journal import Budget
from proxy.server.reply import Reply
from proxy.server.resumption import Resumption
from proxy.wire import sse
from proxy.wire.delivered import Unstitchable
from tests.unit.server.completions import TEXT
from tests.unit.stand_ins import FakeClient, FakeClock, FakeDeadlines, call

CALL = sse.event(
    b'{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"call_1","function":{"name":"f","arguments":"{"}}]}}]}'
)
STOP = sse.event(b'{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}')
MORE = sse.event(b'{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1"}}]}}]}')


class Trial:
    def __init__(self, delivered: bytes | None) -> None:
        clock = FakeClock()
        self.client = FakeClient()
        question = Question(call(body=b'{"model":"gpt-5","stream":true}'), "gpt-5", is_stream=True)
        facilities = Facilities(clock, FakeDeadlines(clock), Budget())
        self.resumption = Resumption(question, Remains(delivered, b""), Reply(self.client), facilities)

    def asked(self, *losses: Need) -> dict[str, object]:
        """What a candidate is asked that would lose so much."""
        candidate = Candidate("local", "small", is_local=True, losses=losses, prefill="hotspare")
        start = Start(candidate, 2, 1.0, 9.0, 9.0, Kind.FIRST_CONTENT_TIMEOUT, is_resuming=True)
        body = self.resumption.question(start).call.body
        assert isinstance(body, bytes)
        told: dict[str, object] = json.loads(body)
        return told


def test_stream_that_was_forgotten_is_lost() -> None:
    with pytest.raises(Unstitchable):
        Trial(None)


def test_who_cannot_call_tools_is_not_asked_to_finish_a_call() -> None:
    with pytest.raises(Unstitchable):
        Trial(CALL).asked(Need.TOOLS)


def test_who_cannot_call_tools_goes_on_with_text() -> None:
    assert Trial(TEXT).asked(Need.TOOLS)["delivered_text"] == "Hi"


def test_who_cannot_do_something_else_may_finish_a_call() -> None:
    assert "delivered_tool_calls" in Trial(CALL).asked(Need.LOGPROBS)


def test_what_fits_is_shown_though_what_follows_does_not() -> None:
    trial = Trial(CALL)
    trial.asked()
    with pytest.raises(Unjoinable) as caught:
        trial.resumption.show(MORE + STOP)
    assert caught.value.outcome.kind is Kind.BAD_ANSWER
    assert b'"arguments":"1"' in trial.client.written
    assert b"finish_reason" not in trial.client.written
    assert trial.resumption.is_possible
