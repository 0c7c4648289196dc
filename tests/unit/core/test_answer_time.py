"""How long whole answers usually take."""

import pytest

from proxy.core.answer_time import AnswerTimes

NOW = 1000.0


def learnt(seconds: float, tokens: int | None, times: int = 20, *, is_reasoning: bool = False) -> AnswerTimes:
    answers = AnswerTimes(is_reasoning=is_reasoning)
    for _ in range(times):
        answers.observe(seconds, tokens, NOW)
    return answers


def test_nothing_is_usual_before_there_is_enough_to_go_by() -> None:
    assert AnswerTimes().usual_seconds(None, NOW) is None
    assert learnt(3.0, None, times=19).usual_seconds(None, NOW) is None


def test_usual_is_what_most_take() -> None:
    answers = learnt(3.0, 500, times=99)
    answers.observe(90.0, 500, NOW)
    assert answers.usual_seconds(500, NOW) == pytest.approx(3.0, rel=0.1)


@pytest.mark.parametrize(("learnt_of", "asked_for"), [(10, 100), (100, 1000), (1000, None), (None, 1000)])
def test_short_answers_say_nothing_of_long_ones(learnt_of: int | None, asked_for: int | None) -> None:
    assert learnt(3.0, learnt_of).usual_seconds(asked_for, NOW) is None


@pytest.mark.parametrize(("learnt_of", "asked_for"), [(1, 64), (65, 512), (513, 9999)])
def test_answers_of_like_length_are_of_a_kind(learnt_of: int, asked_for: int) -> None:
    assert learnt(3.0, learnt_of).usual_seconds(asked_for, NOW) is not None


def test_what_is_long_past_says_nothing() -> None:
    assert learnt(3.0, None).usual_seconds(None, NOW + 3600) is None


def test_model_that_thinks_may_take_three_times_as_long() -> None:
    assert learnt(3.0, None, is_reasoning=True).usual_seconds(None, NOW) == pytest.approx(9.0, rel=0.1)
