"""What llama.cpp makes of texts, with tiny models of random weights."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from models.engine.embedding import Vectors
from models.engine.llama import EmbeddingContext, EmbeddingSettings, Model
from tests.integration.models.tiny import Kind, write
from tests.integration.models.tiny_bert import CONTEXT, WIDTH, Pooling, write_bert

TEXTS = ["the cat sat on the mat", "a dog ran under the house", "the cat sat on the mats", "red", "one two three " * 12]

BERT, CAUSAL = "bert", "llama"
KINDS = [(BERT, Pooling.MEAN), (BERT, Pooling.FIRST), (CAUSAL, Pooling.LAST), (CAUSAL, Pooling.MEAN)]


def file_of(kind: str, pooling: Pooling, folder: Path) -> Path:
    path = folder / f"{kind}.gguf"
    if kind == BERT:
        return write_bert(path, pooling)
    return write(Kind.FULL, path, extra={"llama.pooling_type": int(pooling)})


@pytest.fixture(scope="module", params=KINDS, ids=[f"{kind}-{pooling.name.lower()}" for kind, pooling in KINDS])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    model = Model(file_of(*request.param, tmp_path_factory.mktemp("tiny")), gpu_layers=0)
    yield model
    model.close()


@pytest.fixture(scope="module")
def context(model: Model) -> Iterator[EmbeddingContext]:
    context = EmbeddingContext(model, EmbeddingSettings(512, 8, 1))
    yield context
    context.close()


def tokens(model: Model) -> list[list[int]]:
    return [model.tokenize(text, add_special=True, parse_special=False) for text in TEXTS]


def alone(model: Model, context: EmbeddingContext) -> Vectors:
    return np.concatenate([context.embed([text]) for text in tokens(model)])


def test_file_says_what_it_is_for(model: Model) -> None:
    assert (model.makes_embeddings, model.makes_text, model.embedding_width) == (True, False, WIDTH)


def test_each_text_gets_a_vector_of_length_one(model: Model, context: EmbeddingContext) -> None:
    vectors = context.embed(tokens(model))
    assert vectors.shape == (len(TEXTS), WIDTH)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-5)


def test_company_changes_no_vector(model: Model, context: EmbeddingContext) -> None:
    assert context.embed(tokens(model)) == pytest.approx(alone(model, context), abs=1e-3)


def test_same_text_has_the_same_vector_again(model: Model, context: EmbeddingContext) -> None:
    first = context.embed(tokens(model))
    context.embed([tokens(model)[-1]] * 3)
    assert np.array_equal(context.embed(tokens(model)), first)


def test_different_texts_have_different_vectors(model: Model, context: EmbeddingContext) -> None:
    vectors = alone(model, context)
    likeness = vectors @ vectors.T
    assert np.all(likeness[~np.eye(len(TEXTS), dtype=bool)] < 0.999)


def test_step_that_is_too_large_is_refused_before_it_aborts(model: Model, context: EmbeddingContext) -> None:
    with pytest.raises(ValueError, match="513 tokens"):
        context.embed([[5] * 513])


def test_more_texts_than_fit_are_refused(model: Model, context: EmbeddingContext) -> None:
    with pytest.raises(ValueError, match="slot"):
        context.embed([[5]] * 9)


def test_encoder_reads_to_its_last_position(tmp_path: Path) -> None:
    model = Model(write_bert(tmp_path / "bert.gguf"), gpu_layers=0)
    context = EmbeddingContext(model, EmbeddingSettings(CONTEXT, 4, 1))
    assert context.embed([[5] * CONTEXT]).shape == (1, WIDTH)
    context.close()
    model.close()


@pytest.mark.parametrize("pooling", [Pooling.NONE, Pooling.RANK])
def test_encoder_that_pools_nothing_or_ranks_is_for_neither(tmp_path: Path, pooling: Pooling) -> None:
    model = Model(write_bert(tmp_path / "bert.gguf", pooling), gpu_layers=0)
    assert (model.makes_embeddings, model.makes_text) == (False, False)
    model.close()


def test_chat_model_makes_text_only(tmp_path: Path) -> None:
    model = Model(write(Kind.FULL, tmp_path / "llama.gguf"), gpu_layers=0)
    assert (model.makes_embeddings, model.makes_text) == (False, True)
    model.close()
