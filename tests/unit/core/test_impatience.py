"""When clients that hang up are a sign."""

from proxy.core.impatience import Impatience


def test_five_of_five_are_a_surge() -> None:
    waits = Impatience()
    assert [waits.left(1.0) for _ in range(5)] == [False, False, False, False, True]


def test_half_of_the_last_ten_are_none() -> None:
    waits, surges = Impatience(), []
    waits.left(1.0)
    waits.served(1.0)
    for _ in range(20):
        waits.served(1.0)
        surges.append(waits.left(1.0))
    assert not any(surges)


def test_six_of_the_last_ten_are_a_surge_whatever_was_before() -> None:
    waits = Impatience()
    waits.left(1.0)
    for _ in range(9):
        waits.served(1.0)
    assert [waits.left(1.0) for _ in range(6)] == [False, False, False, False, False, True]


def test_departures_of_half_a_minute_ago_do_not_count() -> None:
    waits = Impatience()
    for _ in range(4):
        waits.left(0.0)
    assert not waits.left(30.0)


def test_slow_trickle_of_departures_is_no_surge() -> None:
    waits = Impatience()
    assert not any(waits.left(number * 7.5) for number in range(100))


def test_nothing_is_kept_while_clients_are_patient() -> None:
    waits = Impatience()
    waits.served(1.0)
    assert not waits
    waits.left(1.0)
    assert waits
    for _ in range(10):
        waits.served(1.0)
    assert not waits
