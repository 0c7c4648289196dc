"""When a spare is wanted, and when it may rest again."""

from collections.abc import Mapping

import pytest

from proxy.core.breaker import State
from proxy.core.standby import REST_SECONDS, Spare, Standby, Turn, is_ill


def woken(at: float = 100.0) -> Spare:
    spare = Spare("cold")
    spare.want(at)
    return spare


@pytest.mark.parametrize(("standby", "is_wanted"), [("hot", True), ("warm", False), ("cold", False)])
def test_only_a_hot_spare_is_wanted_from_the_start(standby: Standby, is_wanted: bool) -> None:
    assert Spare(standby).is_wanted is is_wanted


def test_spare_that_is_wanted_stays_for_its_time() -> None:
    spare = woken(100.0)
    assert spare.beat(100.0 + REST_SECONDS - 1, is_busy=False) is Turn.STAY
    assert spare.is_wanted


def test_spare_that_nobody_needs_is_shut_first_and_rests_a_beat_later() -> None:
    spare = woken(100.0)
    turns = [spare.beat(100.0 + REST_SECONDS + beat, is_busy=False) for beat in (0, 1)]
    assert turns == [Turn.SHUT, Turn.REST]
    assert not spare.is_wanted


def test_request_that_came_in_last_keeps_it() -> None:
    spare = woken(100.0)
    turns = [spare.beat(100.0 + REST_SECONDS + beat, is_busy=beat == 1) for beat in (0, 1, 2, 3)]
    assert turns == [Turn.SHUT, Turn.STAY, Turn.SHUT, Turn.REST]


def test_wish_while_it_leaves_keeps_it_for_its_whole_time() -> None:
    spare = woken(100.0)
    assert spare.beat(100.0 + REST_SECONDS, is_busy=False) is Turn.SHUT
    spare.want(101.0 + REST_SECONDS)
    assert spare.beat(100.0 + 2 * REST_SECONDS, is_busy=False) is Turn.STAY


def test_busy_spare_never_rests() -> None:
    spare = woken(0.0)
    assert {spare.beat(now, is_busy=True) for now in (1.0, REST_SECONDS, 9e9)} == {Turn.STAY}


def test_hot_spare_never_rests() -> None:
    assert {Spare("hot").beat(now, is_busy=False) for now in (1.0, REST_SECONDS, 9e9)} == {Turn.STAY}


def test_spare_at_rest_goes_on_resting() -> None:
    spare = Spare("warm")
    assert {spare.beat(now, is_busy=False) for now in (1.0, 9e9)} == {Turn.STAY}
    assert not spare.is_wanted


@pytest.mark.parametrize(
    ("breakers", "ill"),
    [
        ({}, False),
        ({"acme": {}}, False),
        ({"acme": {State.CLOSED: 3}}, False),
        ({"acme": {State.CLOSED: 3, State.OPEN: 0}}, False),
        ({"acme": {State.CLOSED: 3}, "other": {State.OPEN: 1}}, True),
        ({"acme": {State.CLOSED: 3, State.HALF_OPEN: 1}}, True),
        ({"acme": {State.CLOSED: 3, State.RAMPING: 1}}, True),
    ],
)
def test_upstream_is_ill_while_a_breaker_is_not_closed(breakers: Mapping[str, Mapping[State, int]], ill: bool) -> None:
    assert is_ill(breakers) is ill
