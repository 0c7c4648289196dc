"""Penalties and biases, reckoned by hand."""

import numpy as np
import pytest

from models.engine.params import SamplingParams
from models.engine.shaping import Shaping

END = 2


def shaped(logits: list[float], said: list[int], **settings: object) -> list[float]:
    params = SamplingParams(max_tokens=9, seed=0, **settings)  # type: ignore[arg-type]
    shaping = Shaping(params, len(logits), frozenset({END}))
    for token in said:
        shaping.count(token)
    result: list[float] = shaping.apply(np.array(logits, np.float32)).tolist()
    return result


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"frequency_penalty": 0.5}, [0.0, 1.5, 3.0]),
        ({"presence_penalty": 0.5}, [0.5, 2.0, 3.0]),
        ({"repeat_penalty": 2.0}, [0.5, 1.25, 3.0]),
        ({"frequency_penalty": -0.5}, [2.0, 3.5, 3.0]),
        ({}, [1.0, 2.5, 3.0]),
    ],
)
def test_what_was_said_loses_by_each_penalty(settings: dict[str, float], expected: list[float]) -> None:
    assert shaped([1.0, 2.5, 3.0], [0, 1, 0, 1], **settings) == pytest.approx(expected)


def test_repeat_penalty_makes_an_unlikely_token_unlikelier() -> None:
    assert shaped([-1.0, 1.0, 1.0], [0], repeat_penalty=2.0)[0] == -2.0


def test_nothing_said_means_no_penalty() -> None:
    assert shaped([1.0, 2.0, 3.0], [], frequency_penalty=2.0) == [1.0, 2.0, 3.0]


def test_bias_is_added_after_the_penalties() -> None:
    assert shaped([4.0, 0.0, 0.0], [0], repeat_penalty=2.0, logit_bias={0: 1.0})[0] == 3.0


def test_ignored_end_is_impossible_whatever_the_client_adds_to_it() -> None:
    assert shaped([0.0, 0.0, 9.0], [], ignore_end=True, logit_bias={END: 100.0})[END] == -np.inf


def test_row_is_not_written_to() -> None:
    logits = np.ones(3, np.float32)
    Shaping(SamplingParams(max_tokens=1, seed=0, ignore_end=True), 3, {END}).apply(logits)
    assert logits.tolist() == [1.0, 1.0, 1.0]
