"""What llama.cpp's numbers say of each token, and what the engine tells of them."""

import math
from collections.abc import Iterator

import pytest

from models.engine.event import Ended, Piece, TokenScore
from models.engine.llama import Context, ContextSettings, Model
from models.engine.params import MOST_ALTERNATIVES
from models.engine.scheduler import Rules
from tests.integration.models.by_hand import Asked, ByHand
from tests.integration.models.tiny import Kind, write

PARALLEL = 4
TEXT = "In the beginning there was a question that nobody could answer, and another one"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    model = Model(write(Kind.FULL, tmp_path_factory.mktemp("tiny") / "llama.gguf"), gpu_layers=0)
    yield model
    model.close()


@pytest.fixture
def engine(model: Model) -> Iterator[ByHand]:
    context = Context(model, ContextSettings(512 * PARALLEL, PARALLEL, 64, 1))
    yield ByHand(context, Rules(PARALLEL, 99))
    context.close()


def prompt(model: Model, text: str = TEXT) -> list[int]:
    return model.tokenize(text, add_special=True, parse_special=False)


def scores(asked: Asked) -> list[TokenScore]:
    return [token for event in asked.events if isinstance(event, Piece) for token in event.tokens]


def test_greedy_token_is_the_likeliest_and_alternatives_follow_in_order(model: Model, engine: ByHand) -> None:
    (asked,) = engine.together([prompt(model)], logprobs=5)
    told = scores(asked)
    assert told
    assert all(token.top[0] == (token.piece, token.logprob) for token in told)
    for token in told:
        logprobs = [logprob for _, logprob in token.top]
        assert len(logprobs) == 5
        assert logprobs == sorted(logprobs, reverse=True)


def test_probabilities_of_a_whole_vocabulary_would_add_up_to_one(model: Model, engine: ByHand) -> None:
    (asked,) = engine.together([prompt(model)], logprobs=MOST_ALTERNATIVES)
    shares = [sum(math.exp(logprob) for _, logprob in token.top) for token in scores(asked)]
    assert all(20 / model.vocabulary_size < share <= 1.0 for share in shares)


def test_temperature_and_bias_move_the_draw_and_not_what_is_told_of_it(model: Model, engine: ByHand) -> None:
    (plain,) = engine.together([prompt(model)], logprobs=3, max_tokens=1)
    token = prompt(model, "x")[-1]
    (forced,) = engine.together([prompt(model)], logprobs=3, max_tokens=1, temperature=1.5, logit_bias={token: 100.0})
    (likely,), (unlikely,) = scores(plain), scores(forced)
    assert unlikely.piece == b"x"
    assert [piece for piece, _ in unlikely.top] == [piece for piece, _ in likely.top]
    assert [logprob for _, logprob in unlikely.top] == pytest.approx([logprob for _, logprob in likely.top], abs=0.01)
    assert unlikely.logprob < likely.logprob


def test_tokens_spell_the_text(model: Model, engine: ByHand) -> None:
    for asked in engine.together([prompt(model), prompt(model, "Else")], logprobs=0, max_tokens=40):
        spelled = b"".join(token.piece for token in scores(asked))
        assert asked.text.startswith(spelled.decode(errors="replace"))
        assert asked.text.encode()


def test_asking_changes_nobodys_text(model: Model, engine: ByHand) -> None:
    (free,) = engine.together([prompt(model)])
    (told,) = engine.together([prompt(model)], logprobs=20)
    assert told.text == free.text
    assert scores(free) == []


def test_control_token_among_the_alternatives_is_spelled(model: Model) -> None:
    assert model.spelling(model.eos or 0) == b"<|end|>"
    assert model.spelling(prompt(model, "x")[-1]) == b"x"


def test_prompt_that_was_read_for_another_is_told_as_cached(model: Model, engine: ByHand) -> None:
    (first,) = engine.together([prompt(model)])
    (second,) = engine.together([prompt(model, TEXT + " came")])
    assert isinstance(first.end, Ended)
    assert isinstance(second.end, Ended)
    assert first.end.cached_tokens == 0
    assert second.end.cached_tokens == len(prompt(model))
