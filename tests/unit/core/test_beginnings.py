"""Which beginnings are found, kept and told."""

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from proxy.core.beginnings import COUNTERS, DECAY_SAMPLES, MOST, WORTH_TIMES, Beginning, Beginnings


def said(text: str, client: str = "app") -> Beginning:
    return Beginning(client, text.encode())


def noted(*beginnings: Beginning) -> Beginnings:
    known = Beginnings()
    for beginning in beginnings:
        known.note(beginning)
    return known


def test_beginning_is_worth_it_when_it_has_come_three_times() -> None:
    known = noted(*[said("a")] * (WORTH_TIMES - 1))
    assert known.untold() == []
    known.note(said("a"))
    assert known.untold() == [said("a")]


def test_same_text_of_two_clients_is_two_beginnings() -> None:
    known = noted(*[said("a", "one"), said("a", "other")] * WORTH_TIMES)
    assert sorted(beginning.client for beginning in known.untold()) == ["one", "other"]


def test_most_frequent_one_is_told_first() -> None:
    known = noted(*[said("a")] * 3, *[said("b")] * 5, *[said("c")] * 4)
    assert known.untold() == [said("b"), said("c"), said("a")]


def test_what_was_told_is_told_again_to_another_server_only() -> None:
    known = noted(*[said("a")] * 3)
    known.told(said("a"))
    assert known.untold() == []
    known.forget_told()
    assert known.untold() == [said("a")]


def test_only_the_most_frequent_are_told() -> None:
    texts = [f"{number}" for number in range(MOST + 3)]
    known = noted(*[said(text) for text in texts for _ in range(3)], *[said(text) for text in texts[-2:]])
    assert len(known.untold()) == MOST
    assert known.untold()[:2] == [said(text) for text in texts[-2:]]


def test_flood_of_beginnings_that_come_once_is_never_told() -> None:
    assert noted(*[said(f"{number}") for number in range(50 * COUNTERS)]).untold() == []


def test_frequent_beginning_is_found_in_a_flood() -> None:
    numbers = count()
    flood = [said("frequent") if number % 5 == 0 else said(f"{next(numbers)}") for number in range(1000)]
    assert noted(*flood).untold() == [said("frequent")]


def test_what_is_not_said_any_more_makes_place() -> None:
    known = noted(*[said("old")] * 20, *[said(f"{number % 40}") for number in range(12 * DECAY_SAMPLES)])
    assert said("old") not in known.untold()


def test_prompt_text_is_in_no_repr() -> None:
    assert "secret" not in repr(said("secret"))


@given(st.lists(st.integers(0, 60), max_size=DECAY_SAMPLES - 1))
def test_nothing_is_told_that_has_not_come_so_often(numbers: list[int]) -> None:
    known = noted(*[said(f"{number}") for number in numbers])
    assert all(numbers.count(int(told.prompt)) >= WORTH_TIMES for told in known.untold())


@given(st.lists(st.integers(0, COUNTERS - 1), max_size=200))
def test_without_a_crowd_the_counts_are_exact(numbers: list[int]) -> None:
    known = noted(*[said(f"{number}") for number in numbers])
    worthy = {number for number in numbers if numbers.count(number) >= WORTH_TIMES}
    assert {int(told.prompt) for told in known.untold()} <= worthy
    assert len(known.untold()) == min(len(worthy), MOST)
