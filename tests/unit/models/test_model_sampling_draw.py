"""Cuts and draws on rows small enough to reckon by hand."""

from collections import Counter

import numpy as np
import pytest

from models.engine.drawing import Logits, draw, likeliest
from models.engine.params import SamplingParams

NOTHING = -np.inf


def row(*probabilities: float) -> Logits:
    with np.errstate(divide="ignore"):
        logits: Logits = np.log(np.array(probabilities, np.float32))
    return logits


def drawn(logits: Logits, **settings: float) -> Counter[int]:
    """What a hundred equally spaced chances give."""
    params = SamplingParams(max_tokens=1, seed=0, **settings)  # type: ignore[arg-type]
    return Counter(draw(logits, params, (number + 0.5) / 100) for number in range(100))


def test_temperature_zero_takes_the_likeliest() -> None:
    assert drawn(row(0.2, 0.5, 0.3), temperature=0.0) == {1: 100}


def test_temperature_one_draws_by_probability() -> None:
    assert drawn(row(0.2, 0.5, 0.3)) == {0: 20, 1: 50, 2: 30}


def test_low_temperature_sharpens() -> None:
    # 0.2², 0.5² and 0.3² of 0.38
    assert drawn(row(0.2, 0.5, 0.3), temperature=0.5) == {0: 11, 1: 65, 2: 24}


@pytest.mark.parametrize("temperature", [1e-45, 1e-30, 1e-3])
def test_temperature_next_to_zero_takes_the_likeliest_and_overflows_nothing(temperature: float) -> None:
    assert drawn(row(1e-30, 0.6, 0.4), temperature=temperature) == {1: 100}


def test_top_k_leaves_the_likeliest() -> None:
    assert drawn(row(0.2, 0.5, 0.3), top_k=2).keys() == {1, 2}


def test_top_k_beyond_the_vocabulary_leaves_all() -> None:
    assert drawn(row(0.2, 0.5, 0.3), top_k=99).keys() == {0, 1, 2}


@pytest.mark.parametrize(("top_p", "kept"), [(0.0, {1}), (0.49, {1}), (0.51, {1, 2}), (0.81, {0, 1, 2})])
def test_top_p_leaves_the_fewest_with_that_share(top_p: float, kept: set[int]) -> None:
    assert drawn(row(0.2, 0.5, 0.3), top_p=top_p).keys() == kept


def test_top_p_is_a_share_of_what_top_k_leaves() -> None:
    # 0.5 of the 0.8 that two tokens have is 0.625.
    assert drawn(row(0.2, 0.5, 0.3), top_k=2, top_p=0.6) == {1: 100}


def test_min_p_is_a_share_of_the_likeliest() -> None:
    assert drawn(row(0.2, 0.5, 0.3), min_p=0.5).keys() == {1, 2}


def test_temperature_does_not_move_what_the_cuts_leave() -> None:
    assert drawn(row(0.2, 0.5, 0.3), top_p=0.51, temperature=2.0).keys() == {1, 2}


@pytest.mark.parametrize("settings", [{}, {"temperature": 0.0}, {"top_k": 3}, {"top_p": 0.99}, {"min_p": 0.01}])
def test_what_is_forbidden_is_never_drawn(settings: dict[str, float]) -> None:
    assert 0 not in drawn(row(0.0, 0.5, 0.5), **settings)


@pytest.mark.parametrize("chance", [0.0, 0.5, np.nextafter(1.0, 0.0)])
def test_extreme_chances_draw_what_has_a_probability(chance: float) -> None:
    logits = np.full(1000, NOTHING, np.float32)
    logits[600] = 1.0
    assert draw(logits, SamplingParams(max_tokens=1, seed=0), chance) == 600


@pytest.mark.parametrize("broken", [np.nan, np.inf, NOTHING])
@pytest.mark.parametrize("settings", [{}, {"top_k": 2}, {"top_p": 0.5}])
def test_row_of_a_broken_model_gives_some_index(broken: float, settings: dict[str, float]) -> None:
    logits = np.full(40, broken, np.float32)
    assert drawn(logits, **settings).keys() <= set(range(40))


def test_share_that_many_tokens_make_up_is_found() -> None:
    logits = np.linspace(0.0, -2.0, 20_000, dtype=np.float32)
    sums = np.cumsum(np.exp(logits.astype(float)))
    params = SamplingParams(max_tokens=1, seed=0, top_p=0.9)
    last = draw(logits, params, np.nextafter(1.0, 0.0))
    assert last == pytest.approx(np.searchsorted(sums, 0.9 * sums[-1]), abs=2)


@pytest.mark.parametrize("count", [1, 7, 100, 999, 1000, 5000])
def test_likeliest_are_those_that_sorting_finds(count: int) -> None:
    values = np.random.default_rng(count).normal(size=1000).astype(np.float32)
    assert likeliest(values, count).tolist() == np.argsort(-values)[:count].tolist()
