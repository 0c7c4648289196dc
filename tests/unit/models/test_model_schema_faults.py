"""Schemas that are none, and those that cannot be promised: where and why they are refused."""

from typing import Any

import pytest

from models.errors import SchemaInvalid
from models.schema.grammar import grammar_of
from tests.unit.models.schema_table import closed, text

LEFT = {"type": "object", "properties": {"l": {"$ref": "#"}, "r": {"type": "null"}}, "required": ["l", "r"]}
RIGHT = LEFT | {"properties": {"l": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}, "r": {"$ref": "#"}}}


def refusal(schema: Any, *, strict: bool = False) -> SchemaInvalid:
    with pytest.raises(SchemaInvalid) as refused:
        grammar_of(schema, name="person", strict=strict)
    return refused.value


@pytest.mark.parametrize(
    ("schema", "where", "why"),
    [
        ({"type": "strin"}, "#/type", "must be one of"),
        ({"type": "object", "properties": []}, "#/properties", "must be an object"),
        ({"type": "object", "properties": {"a/b": 1}}, "#/properties/a~1b", "an object, true or false"),
        ({"type": "object", "required": [1]}, "#/required", "names"),
        ({"type": "string", "minLength": -1}, "#/minLength", "whole number"),
        ({"type": "string", "pattern": 1}, "#/pattern", "must be a string"),
        ({"type": "string", "pattern": "("}, "#/pattern", "lacks a )"),
        ({"type": "string", "pattern": r"(a)\1"}, "#/pattern", "not supported"),
        ({"type": "string", "pattern": "^((a?){30}){30}$"}, "#/pattern", "too complicated"),
        ({"type": "string", "minLength": 10**9}, "#/minLength", "at most"),
        ({"type": "number", "minimum": "1"}, "#/minimum", "must be a number"),
        ({"type": "number", "minimum": True}, "#/minimum", "must be a number"),
        ({"type": "number", "multipleOf": 0}, "#/multipleOf", "between"),
        ({"type": "number", "multipleOf": 1e-300}, "#/multipleOf", "between"),
        ({"type": "integer", "minimum": 10**20}, "#", "digits"),
        ({"type": "array", "minItems": 10**9}, "#/minItems", "at most"),
        ({"type": "array", "uniqueItems": True}, "#/uniqueItems", "leave it out"),
        ({"type": "array", "contains": {}}, "#/contains", "leave it out"),
        ({"not": {}}, "#/not", "leave it out"),
        ({"if": {}, "then": {}}, "#/if", "leave it out"),
        ({"anyOf": []}, "#/anyOf", "at least one"),
        ({"allOf": [1]}, "#/allOf/0", "an object, true or false"),
        ({"enum": [float("inf")]}, "#/enum", "too large"),
        ({"const": 10**400}, "#/const", "too large"),
        ({"const": "\ud800"}, "#/const", "surrogate"),
        ({"$ref": "https://example.com/schema"}, "#/$ref", "only references"),
        ({"$ref": "#/$defs/none"}, "#/$ref", "leads nowhere"),
        ({"$ref": "#anchor"}, "#/$ref", "only references"),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "#", "anyOf"),
        ({"oneOf": [{"minLength": 3}, {"type": "integer"}]}, "#/oneOf/0", "name its type"),
        (
            {"oneOf": [{"type": "null"}, {"$ref": "#/$defs/a"}], "$defs": {"a": {"required": ["a"]}}},
            "#/oneOf/1",
            "name its type",
        ),
        ({"type": "object", "patternProperties": {"^a": {}}}, "#/patternProperties", "leave it out"),
        ({"unevaluatedProperties": False, "allOf": [{}]}, "#/unevaluatedProperties", "beside combinations"),
        ({"type": "object", "propertyNames": {"pattern": "a"}}, "#/propertyNames", "leave it out"),
        ({"type": "object", "minProperties": 2}, "#/minProperties", "promised"),
    ],
)
def test_the_fault_and_its_place_are_named(schema: Any, where: str, why: str) -> None:
    fault = refusal(schema)
    assert str(fault).startswith(f"Invalid schema for response_format 'person': at {where}: ")
    assert why in str(fault)
    assert (fault.status, fault.param) == (400, "response_format")


@pytest.mark.parametrize(
    "schema",
    [
        False,
        closed(again={"$ref": "#"}),
        {"$ref": "#"},
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {"type": "string", "enum": [1, 2]},
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"type": "object", "properties": {"a": False}, "required": ["a"]},
        {"type": "array", "items": False, "minItems": 1},
        {"type": "string", "pattern": "^a$", "minLength": 2},
        {"type": "array", "minItems": 3, "maxItems": 2},
    ],
)
def test_what_nothing_satisfies_can_never_be_complete(schema: Any) -> None:
    assert "no value can be valid" in str(refusal(schema))


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "object", "properties": {}}, "additionalProperties"),
        ({"type": "object", "additionalProperties": True}, "additionalProperties"),
        (closed(a=text()) | {"required": []}, "missing 'a'"),
        (closed(a={"type": "array", "items": {"type": "object"}}), "additionalProperties"),
        (closed(a=text(format="uri")), "format"),
    ],
)
def test_strict_schemas_have_to_be_closed_and_to_demand_everything(schema: Any, why: str) -> None:
    assert why in str(refusal(schema, strict=True))
    assert grammar_of(schema, name="loose")


@pytest.mark.parametrize("schema", [{"anyOf": [LEFT, RIGHT, {"type": "null"}]}])
def test_what_would_be_read_in_ever_more_ways_is_refused(schema: Any) -> None:
    assert "begin alike" in str(refusal(schema))


def test_a_name_is_shown_but_no_content() -> None:
    fault = refusal(closed(secret={"enum": ["hunter2"], "type": "strin"}))
    assert "secret" in str(fault)
    assert "hunter2" not in str(fault)


def test_a_long_pointer_is_cut() -> None:
    assert len(str(refusal(closed(**{"x" * 5000: {"type": "strin"}})))) < 500
