"""How long first contents are waited for."""

import pytest

from proxy.core.patience import REASONING_MODELS, Patience, is_reasoning

NOW = 1000.0


def learnt(seconds: float, times: int = 20, *, is_reasoning: bool = False) -> Patience:
    patience = Patience(is_reasoning=is_reasoning)
    for _ in range(times):
        patience.observe(seconds, NOW)
    return patience


def test_ten_seconds_until_there_is_anything_to_go_by() -> None:
    assert Patience().limit_seconds(NOW) == 10
    assert learnt(1.0, times=19).limit_seconds(NOW) == 10


def test_four_times_of_what_is_usual() -> None:
    assert learnt(2.0).limit_seconds(NOW) == pytest.approx(8.0, rel=0.1)


@pytest.mark.parametrize(("seconds", "limit"), [(0.2, 5), (30.0, 60)])
def test_limit_is_bounded_on_both_sides(seconds: float, limit: float) -> None:
    assert learnt(seconds).limit_seconds(NOW) == limit


@pytest.mark.parametrize(("model_thinks", "is_long"), [(True, False), (False, True), (True, True)])
def test_thinking_and_long_prompts_get_three_times_as_long(model_thinks: bool, is_long: bool) -> None:
    assert Patience(is_reasoning=model_thinks).limit_seconds(NOW, is_long=is_long) == 30
    assert learnt(0.2, is_reasoning=model_thinks).limit_seconds(NOW, is_long=is_long) == 15


def test_one_slow_stream_in_a_hundred_changes_nothing() -> None:
    patience = learnt(2.0, times=99)
    patience.observe(59.0, NOW)
    assert patience.limit_seconds(NOW) == pytest.approx(8.0, rel=0.1)


def test_usual_time_is_the_95th_percentile_and_unknown_at_first() -> None:
    assert learnt(2.0, times=19).usual_seconds(NOW) is None
    assert learnt(2.0).usual_seconds(NOW) == pytest.approx(2.0, rel=0.1)


def test_what_is_usual_is_looked_up_every_five_seconds_only() -> None:
    patience = Patience()
    before = patience.limit_seconds(NOW)
    for _ in range(20):
        patience.observe(3.0, NOW)
    assert patience.limit_seconds(NOW + 4.9) == before
    assert patience.limit_seconds(NOW + 5.0) == pytest.approx(12.0, rel=0.1)


def test_quarter_of_an_hour_later_it_is_forgotten() -> None:
    patience = learnt(3.0)
    assert patience.limit_seconds(NOW + 839) == pytest.approx(12.0, rel=0.1)
    assert patience.limit_seconds(NOW + 960) == 10


@pytest.mark.parametrize("model", ["o1", "o3-mini", "o4-mini", "gpt-5", "gpt-5-mini", "qwen3-thinking", "x-reasoner"])
def test_models_that_think_are_known_by_their_names(model: str) -> None:
    assert is_reasoning(model, REASONING_MODELS)


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4.1", "claude-sonnet", "llama-3.3-70b", "solo1"])
def test_other_models_do_not(model: str) -> None:
    assert not is_reasoning(model, REASONING_MODELS)
