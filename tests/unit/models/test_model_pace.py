import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.engine.pace import DEFAULT_ANSWER_TOKENS, Pace
from models.engine.params import SamplingParams
from models.engine.sequence import Sequence

TARGET = 0.25


def sequence(prompt: int = 100, max_tokens: int = 50) -> Sequence:
    return Sequence(0, "a", [1] * prompt, SamplingParams(max_tokens=max_tokens, seed=0), lambda event: None)


def taught(*steps: tuple[int, int, float]) -> Pace:
    pace = Pace(512, TARGET)
    for decoded, prefilled, seconds in steps:
        pace.observe(decoded, prefilled, seconds)
    return pace


def test_machine_that_is_not_known_reads_a_little_and_promises_no_wait() -> None:
    pace = taught()
    assert (pace.budget(0), pace.budget(10), pace.budget(500)) == (128, 128, 12)
    assert pace.expected_wait_seconds([], [sequence()], 1) == 0.0


def test_prompt_alone_may_take_longer_but_not_for_ever() -> None:
    assert taught((0, 500, 1.0)).budget(0) == 500
    assert taught((0, 500, 5.0)).budget(0) == 100


def test_prompt_that_nobody_waits_for_is_read_at_once_within_two_seconds() -> None:
    assert taught((0, 500, 1.9)).budget(0, is_lone=True) == 512
    assert taught((0, 500, 5.0)).budget(0, is_lone=True) == 200


def test_lone_prompt_beside_streams_is_not_alone() -> None:
    pace = taught((1, 0, 0.05), (0, 400, 0.4))
    assert pace.budget(1, is_lone=True) == pace.budget(1)


def test_prompt_beside_streams_gets_what_the_time_allows() -> None:
    pace = taught((8, 0, 0.05), (0, 400, 0.4))
    assert pace.budget(8) == 200


def test_slow_machine_reads_a_little_in_any_case() -> None:
    assert taught((8, 0, 3.0), (0, 100, 10.0)).budget(8) == 32


def test_fast_machine_reads_no_more_than_fits() -> None:
    assert taught((8, 0, 0.001), (0, 500, 0.001)).budget(8) == 504


def test_streams_are_not_charged_to_the_prompt_beside_them() -> None:
    pace = taught((4, 0, 0.1), (4, 100, 0.3))
    assert pace.reading_seconds(100) == pytest.approx(0.2)


def test_prompt_is_charged_with_half_a_step_at_least() -> None:
    assert taught((4, 0, 9.0), (4, 100, 0.2)).reading_seconds(100) == pytest.approx(0.1)


def test_few_tokens_tell_nothing() -> None:
    assert taught((0, 8, 9.0)).reading_seconds(100) == 0.0


def test_change_is_believed_by_and_by() -> None:
    pace = taught((1, 0, 0.1))
    pace.observe(1, 0, 0.2)
    assert 0.1 < pace.step_seconds(1) < 0.15
    for _ in range(30):
        pace.observe(1, 0, 0.2)
    assert pace.step_seconds(1) == pytest.approx(0.2, rel=0.01)


def test_unknown_number_of_streams_is_guessed_from_the_nearest() -> None:
    pace = taught((2, 0, 0.1), (16, 0, 0.3))
    assert pace.step_seconds(0) == 0.0
    assert pace.step_seconds(8) == pytest.approx(0.2)
    assert pace.step_seconds(12) == 0.3


def test_wait_is_until_the_first_of_those_that_run_ends() -> None:
    pace = taught((2, 0, 0.1))
    short, long = sequence(prompt=1, max_tokens=10), sequence(prompt=1, max_tokens=100)
    assert pace.expected_wait_seconds([short, long], [], 2) == pytest.approx(1.0)
    assert pace.expected_wait_seconds([short, long], [short], 2) == pytest.approx(2.0)


def test_free_slot_means_no_wait() -> None:
    assert taught((2, 0, 0.1)).expected_wait_seconds([sequence()], [], 2) == 0.0


def test_answers_are_expected_to_be_as_long_as_the_last_ones() -> None:
    pace = taught((1, 0, 0.1))
    endless = sequence(prompt=1, max_tokens=10_000)
    assert pace.occupancy_seconds(endless, 1) == pytest.approx(DEFAULT_ANSWER_TOKENS * 0.1)
    for _ in range(60):
        pace.answered(20)
    assert pace.occupancy_seconds(endless, 1) == pytest.approx(2.0, rel=0.01)


def test_what_is_still_to_be_read_is_part_of_the_wait() -> None:
    pace = taught((1, 0, 0.1), (0, 100, 1.0))
    assert pace.occupancy_seconds(sequence(prompt=100, max_tokens=10), 1) == pytest.approx(1.0 + 1.0)


def any_tokens(step: tuple[int, int, float]) -> bool:
    return step[0] + step[1] > 0


@given(
    st.lists(st.tuples(st.integers(0, 16), st.integers(0, 400), st.floats(1e-4, 20.0)).filter(any_tokens), max_size=20),
    st.integers(0, 64),
)
def test_budget_is_never_more_than_fits_and_never_nothing(steps: list[tuple[int, int, float]], decoding: int) -> None:
    assert 32 <= taught(*steps).budget(decoding) <= 512 - decoding
