"""Which conversations come back when."""

from collections import Counter

import pytest

from proxy.core.ramp import FIRST, Ramp, place


@pytest.mark.parametrize(
    ("where", "admitted_at"),
    [(FIRST, 100), (0.049, 100), (0.05, 120), (0.249, 120), (0.25, 140), (0.499, 140), (0.5, 160), (0.999, 160)],
)
def test_each_place_has_its_instant(where: float, admitted_at: float) -> None:
    assert Ramp(100.0, 60.0).admits_at(where) == admitted_at


def test_last_share_is_let_in_when_it_ends() -> None:
    ramp = Ramp(100.0, 60.0)
    assert ramp.ends_at == ramp.admits_at(0.999)


def test_place_is_the_same_in_every_process() -> None:
    assert place("app", b"hello") == pytest.approx(0.5380, abs=1e-4)


def test_conversations_of_different_clients_have_places_of_their_own() -> None:
    assert place("one", b"hello") != place("two", b"hello")


def test_client_and_conversation_are_not_run_together() -> None:
    assert place("a", b"bc") != place("ab", b"c")


def test_places_are_spread_evenly() -> None:
    tenths = Counter(int(place("app", b"question %d" % number) * 10) for number in range(10_000))
    assert len(tenths) == 10
    assert all(900 < count < 1100 for count in tenths.values())
