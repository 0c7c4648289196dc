"""Ranges and steps of numbers, digit by digit, against arithmetic."""

import json
import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import SchemaInvalid
from models.schema.grammar import grammar_of
from tests.unit.models.notation import Notation

pytestmark = pytest.mark.slow

WHOLE = st.integers(-10_000, 10_000) | st.integers(-(10**17), 10**17)
DECIMAL = st.decimals(-1000, 1000, places=3).map(float) | st.floats(-1e6, 1e6).map(lambda one: round(one, 6))
STEPS = st.sampled_from([1, 2, 3, 5, 7, 10, 12, 60, 100, 250, 1000, 0.01, 0.5, 0.25, 0.125])
BOUNDS = st.sampled_from(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"])


def is_within(schema: dict[str, Any], value: float | Decimal) -> bool:
    """As a reader with doubles sees it, but for steps, which doubles get wrong."""
    return (
        value >= schema.get("minimum", value)
        and value <= schema.get("maximum", value)
        and ("exclusiveMinimum" not in schema or value > schema["exclusiveMinimum"])
        and ("exclusiveMaximum" not in schema or value < schema["exclusiveMaximum"])
    )


def is_step(schema: dict[str, Any], text: str) -> bool:
    step = schema.get("multipleOf")
    return step is None or Decimal(text) % Decimal(repr(step)) == 0


def notation_of(schema: dict[str, Any]) -> Notation | None:
    try:
        return Notation.of(grammar_of(schema, name="number"))
    except SchemaInvalid:
        return None


@given(st.dictionaries(BOUNDS, WHOLE), st.none() | STEPS, st.lists(WHOLE, max_size=20), st.integers(0, 1 << 30))
def test_whole_numbers_are_those_in_the_range(
    bounds: dict[str, int], step: float | None, values: list[int], seed: int
) -> None:
    schema: dict[str, Any] = {"type": "integer", **bounds} | ({"multipleOf": step} if step else {})
    notation, chance = notation_of(schema), random.Random(seed)
    near = [bound + by for bound in bounds.values() for by in (-1, 0, 1)]
    if notation is None:
        assert not any(is_within(schema, value) and is_step(schema, str(value)) for value in (*values, *near))
        return
    for value in (*values, *near) if step is None else ():
        assert notation.accepts(str(value)) is is_within(schema, value)
    for _ in range(10):
        text = notation.sample(chance)
        assert is_within(schema, int(text))
        assert is_step(schema, text)


@given(st.dictionaries(BOUNDS, DECIMAL), st.lists(DECIMAL, max_size=20), st.integers(0, 1 << 30))
def test_decimals_are_those_in_the_range(bounds: dict[str, float], values: list[float], seed: int) -> None:
    schema: dict[str, Any] = {"type": "number", **bounds}
    notation, chance = notation_of(schema), random.Random(seed)
    near = [round(bound + by, 6) for bound in bounds.values() for by in (-1, -0.001, 0, 0.000001, 1)]
    for value in (*values, *near):
        text = format(Decimal(repr(value + 0)), "f")  # no minus before a zero
        is_followed = notation is not None and (any(map(notation.accepts, (text, text.removesuffix(".0")))))
        assert is_followed is is_within(schema, value), text
    for _ in range(10 if notation else 0):
        text = notation.sample(chance)
        assert is_within(schema, json.loads(text)), text


@given(st.dictionaries(BOUNDS, DECIMAL), STEPS, st.integers(0, 1 << 30))
def test_steps_of_decimals_are_kept(bounds: dict[str, float], step: float, seed: int) -> None:
    schema: dict[str, Any] = {"type": "number", "multipleOf": step, **bounds}
    notation, chance = notation_of(schema), random.Random(seed)
    for _ in range(10 if notation else 0):
        text = notation.sample(chance)
        assert is_within(schema, json.loads(text))
        assert is_step(schema, text), text


@pytest.mark.parametrize(
    ("schema", "texts"),
    [
        ({"type": "integer", "multipleOf": 7}, ["0", "7", "-7", "49", "1001", "-999999"]),
        ({"type": "integer", "multipleOf": 100, "minimum": 250}, ["300", "1200"]),
        ({"type": "number", "multipleOf": 0.01, "minimum": 0}, ["0", "0.1", "19.99", "1234567.05"]),
        ({"type": "number", "multipleOf": 0.25, "minimum": -1, "maximum": 1}, ["-0.75", "0", "0.5", "1"]),
        ({"type": "number", "minimum": 0}, ["0", "0.5", "3.14159", "123456789.25"]),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 1}, ["0.000001", "1", "1.0", "0.999999"]),
        ({"type": "number", "maximum": 1e308}, ["5", "-17.25"]),
        ({"type": "number", "minimum": 0.30000000000000004}, ["0.31", "1"]),
    ],
)
def test_usual_numbers_are_followed(schema: dict[str, Any], texts: list[str]) -> None:
    notation = Notation.of(grammar_of(schema, name="number"))
    assert [text for text in texts if not notation.accepts(text)] == []
