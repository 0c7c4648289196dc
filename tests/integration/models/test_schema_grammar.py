"""Grammars of schemas in llama.cpp, with the real model's vocabulary."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.engine.gbnf import MAX_BYTES, MAX_REPEATED
from models.engine.llama.grammar import Grammar, check_grammar
from models.engine.llama.model import Model
from models.errors import SchemaInvalid
from models.schema import grammar as schema_grammar
from models.schema.grammar import grammar_of, json_object_grammar
from tests.unit.models.notation import Notation
from tests.unit.models.schema_table import TABLE, closed, text
from tests.unit.models.schemas import Pair, hostile, schemas

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def model(model_file: Path) -> Iterator[Model]:
    model = Model(model_file, gpu_layers=0)
    yield model
    model.close()


def follows(model: Model, grammar: str, answer: str) -> bool:
    """Whether an answer follows a grammar, and may end where it does."""
    reader = Grammar(model, grammar)
    try:
        return reader.advance(answer.encode()) and bool(reader.permits(np.array(sorted(model.end_tokens))).any())
    finally:
        reader.close()


@pytest.mark.parametrize("name", TABLE)
def test_llama_cpp_follows_what_is_valid_and_nothing_else(model: Model, name: str) -> None:
    row = TABLE[name]
    grammar = grammar_of(row.schema, name="row")
    check_grammar(model, grammar)
    assert [one for one in row.followed if not follows(model, grammar, one)] == []
    assert [one for one in row.refused if follows(model, grammar, one)] == []


def test_llama_cpp_follows_any_object(model: Model) -> None:
    assert follows(model, json_object_grammar(), '{\n  "a": [1, {"b": "c"}]\n}')
    assert not follows(model, json_object_grammar(), '{"a": }')


@settings(max_examples=100, deadline=None)
@given(pair=schemas(), seed=st.integers(0, 1 << 30))
def test_llama_cpp_reads_a_grammar_as_it_is_meant(model: Model, pair: Pair, seed: int) -> None:
    grammar, chance = grammar_of(pair[0], name="random"), random.Random(seed)
    check_grammar(model, grammar)
    notation = Notation.of(grammar)
    meant = notation.sample(chance, patience=60)
    for answer in (meant, *(damaged(meant, chance) for _ in range(3))):
        if model.piece_index.spell(answer.encode()) is not None:  # the vocabulary lacks some rare bytes
            assert follows(model, grammar, answer) is notation.accepts(answer), answer


@settings(max_examples=100, deadline=None)
@given(schema=hostile())
def test_llama_cpp_takes_whatever_is_not_refused(model: Model, schema: Any) -> None:
    try:
        grammar = grammar_of(schema, name="hostile")
    except SchemaInvalid:
        return
    check_grammar(model, grammar)


def test_the_largest_schema_that_openai_takes_is_parsed(model: Model) -> None:
    names = [f"property number {number:05}" for number in range(5_000)]
    schema = closed(**dict.fromkeys(names, text()))
    grammar = grammar_of(schema, name="large", strict=True)
    assert len(grammar) < MAX_BYTES
    assert follows(model, grammar, json.dumps(dict.fromkeys(names, "x"), separators=(",", ":"))[:20_000]) is False


def test_the_limits_on_a_schema_stand_within_those_on_a_grammar() -> None:
    assert (schema_grammar.MAX_BYTES, schema_grammar.MAX_REPEATED) <= (MAX_BYTES, MAX_REPEATED)


def damaged(answer: str, chance: random.Random) -> str:
    """An answer with a character taken out, put in or exchanged."""
    at = chance.randrange(len(answer) + 1)
    return answer[:at] + chance.choice(["", '"', ",", "}", "1", " ", "\\", "a"]) + answer[at + chance.randint(0, 1) :]
