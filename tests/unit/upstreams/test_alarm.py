"""What wakes a spare."""

import pytest

from proxy.core.breaker import State
from proxy.core.outcome import OK, Kind, Outcome
from proxy.core.suspicion import Doubt
from proxy.telemetry.events import AttemptEnded, BreakerChanged, Event, ModelServerChanged, Phase, UpstreamSuspected
from proxy.upstreams.alarm import Alarm
from tests.unit.stand_ins import FakeClock, request_ended


def attempt(upstream: str, outcome: Outcome) -> AttemptEnded:
    return AttemptEnded("req-1", upstream, 1, outcome, 0.5, None, None, "gpt-5")


def breaker(after: State) -> BreakerChanged:
    return BreakerChanged("acme", "gpt-5", State.CLOSED, after, None)


class Listening:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.wishes: list[float] = []
        self.alarm = Alarm(lambda: self.wishes.append(self.clock.now), "local", self.clock)


@pytest.mark.parametrize(
    ("event", "wakes"),
    [
        (UpstreamSuspected("acme", "gpt-5", Doubt.FAILURE), True),
        (UpstreamSuspected("acme", "", Doubt.CHECK), True),
        (attempt("acme", Outcome(Kind.CONNECT)), False),
        (attempt("acme", OK), False),
        (attempt("local", OK), True),
        (breaker(State.OPEN), True),
        (breaker(State.HALF_OPEN), False),
        (request_ended(), False),
        (ModelServerChanged(Phase.DOWN), False),
    ],
)
def test_suspicion_open_breakers_and_local_answers_wake_it(event: Event, wakes: bool) -> None:
    here = Listening()
    here.alarm(event)
    assert bool(here.wishes) is wakes


def test_thousand_reasons_in_a_second_are_one_alarm() -> None:
    here = Listening()
    for _ in range(1000):
        here.alarm(breaker(State.OPEN))
        here.clock.now += 1 / 512
    assert here.wishes == [1000.0, 1001.0]
