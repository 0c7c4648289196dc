"""What follows the grammar of a schema is valid against it, and what is valid is followed.

An independent validator says what is valid.
"""

import json
import random
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from models.engine.gbnf import check_cost
from models.errors import SchemaInvalid
from models.schema.automaton import automaton, matches
from models.schema.expression import Expressions
from models.schema.grammar import grammar_of
from models.schema.pattern import expression
from tests.unit.models.notation import Notation
from tests.unit.models.schemas import Pair, hostile, regexes, schemas, tangled

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

# Far more than any of these grammars needs, and far less than one that is read in many ways.
MANY_READINGS = 64


def is_valid(schema: dict[str, Any], text: str) -> bool:
    return bool(
        Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).is_valid(json.loads(text))
    )


@settings(max_examples=500, deadline=None)
@given(schemas(), st.integers(0, 1 << 30))
def test_random_sentences_of_random_schemas_are_valid(pair: Pair, seed: int) -> None:
    schema, _ = pair
    notation, chance = Notation.of(grammar_of(schema, name="random")), random.Random(seed)
    for _ in range(4):
        text = notation.sample(chance)
        assert is_valid(schema, text), text


@settings(max_examples=300, deadline=None)
@given(schemas(), st.sampled_from([None, 2]))
def test_valid_values_of_random_schemas_are_followed(pair: Pair, indent: int | None) -> None:
    schema, value = pair
    notation = Notation.of(grammar_of(schema, name="random"))
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    assert notation.accepts(text)
    assert notation.readings(text) <= MANY_READINGS


@settings(max_examples=400, deadline=None)
@given(hostile(), st.booleans(), st.integers(0, 1 << 30))
def test_hostile_schemas_are_refused_or_kept(schema: Any, is_strict: bool, seed: int) -> None:
    try:
        grammar = grammar_of(schema, name="hostile", strict=is_strict)
    except SchemaInvalid:
        return
    check_cost(grammar)
    text = Notation.of(grammar).sample(random.Random(seed))
    if is_well_formed(schema):
        assert is_valid(schema, text), text


@settings(max_examples=500, deadline=None)
@given(st.integers(0, 1 << 40))
def test_whatever_keywords_come_together_what_is_written_is_valid(seed: int) -> None:
    chance = random.Random(seed)
    schema = tangled(chance, 3) | {"$defs": {"x": tangled(chance, 2), "y": tangled(chance, 2)}}
    try:
        grammar = grammar_of(schema, name="tangled")
    except SchemaInvalid:
        return
    notation = Notation.of(grammar)
    text = notation.sample(chance, patience=100)
    assert is_valid(schema, text), text
    assert notation.readings(text[:200]) <= MANY_READINGS


def is_well_formed(schema: dict[str, Any]) -> bool:
    """Whether the validator takes it for a schema; what we read it takes more narrowly."""
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError:
        return False
    return True


@settings(max_examples=300, deadline=None)
@given(regexes(), st.lists(st.text("ab1_- \né", max_size=8), max_size=20))
def test_patterns_match_as_python_has_it(source: str, texts: list[str]) -> None:
    make = Expressions()
    states = automaton(expression(source, make), make)
    compiled = re.compile(source)
    for text in texts:
        if matches(states, text):
            assert compiled.search(text)
        elif text.isascii() and "\n" not in text:
            assert not compiled.search(text)
