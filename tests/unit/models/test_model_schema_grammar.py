"""What a schema's grammar follows, letter by letter."""

import json
from typing import Any

import pytest

from models.errors import SchemaInvalid
from models.schema.grammar import Rules, grammar_of, json_object_grammar
from tests.unit.models.notation import Notation
from tests.unit.models.schema_table import TABLE, closed, spellings, text, tree


@pytest.mark.parametrize("name", TABLE)
def test_what_is_valid_is_followed_and_nothing_else(name: str) -> None:
    row = TABLE[name]
    notation = Notation.of(grammar_of(row.schema, name="row"))
    assert [one for one in row.followed if not notation.accepts(one)] == []
    assert [one for one in row.refused if notation.accepts(one)] == []


@pytest.mark.parametrize("name", TABLE)
def test_few_readings_are_followed_at_once(name: str) -> None:
    row = TABLE[name]
    notation = Notation.of(grammar_of(row.schema, name="row"))
    assert max(map(notation.readings, (*row.followed, *row.refused))) <= 12


@pytest.mark.parametrize("name", ["strict object", "tree", "union", "array", "map", "any object"])
def test_every_usual_spelling_is_followed(name: str) -> None:
    row = TABLE[name]
    notation = Notation.of(grammar_of(row.schema, name="row"))
    texts = [one for valid in row.followed for one in spellings(json.loads(valid))]
    assert [one for one in texts if not notation.accepts(one)] == []


@pytest.mark.parametrize("blank", ["  ", "\n\n", "\t", " \n", "\n" + " " * 41])
def test_blanks_have_an_end(blank: str) -> None:
    notation = Notation.of(json_object_grammar())
    assert notation.accepts('{"a": [1, 2]}')
    assert not notation.accepts('{"a":1,' + blank + '"b":2}')


def test_json_object_is_an_object_of_anything() -> None:
    notation = Notation.of(json_object_grammar())
    assert notation.accepts('{"a":{"b":[null,-1.5e3,"x",true,{}]}}')
    assert not notation.accepts("[]")


def test_schemas_are_put_together_with_other_text() -> None:
    rules = Rules()
    calls = [
        rules.add([rules.literal(f'<call>{{"name":"{name}","arguments":'), rules.schema(schema, at="tools")])
        for name, schema in (("look", closed(at=text())), ("add", tree()))
    ]
    root = rules.add(*([call, rules.literal("}</call>")] for call in calls))
    notation = Notation.of(rules.text(root))
    assert notation.accepts('<call>{"name":"look","arguments":{"at":"sky"}}</call>')
    assert not notation.accepts('<call>{"name":"add","arguments":{"at":"sky"}}</call>')


def test_references_stay_in_their_own_schema() -> None:
    rules = Rules()
    first, second = (
        rules.schema({"$ref": "#/$defs/one", "$defs": {"one": schema}}, at="tools")
        for schema in ({"type": "null"}, {"type": "boolean"})
    )
    notation = Notation.of(rules.text(rules.add([first, second])))
    assert notation.accepts("nulltrue")


@pytest.mark.parametrize("schema", [{"description": "any"}, {"type": ["object", "null"]}, {"anyOf": [{}, text()]}])
def test_only_objects_count_where_it_has_to_be_one(schema: dict[str, Any]) -> None:
    rules = Rules()
    notation = Notation.of(rules.text(rules.schema(schema, at="tools", is_object=True)))
    assert notation.accepts('{"a":1}')
    assert [one for one in ('"a"', "null", "[]", "1", "true") if notation.accepts(one)] == []


def test_a_schema_of_no_object_is_refused_where_it_has_to_be_one() -> None:
    with pytest.raises(SchemaInvalid, match="no value can be valid"):
        Rules().schema(text(), at="tools", is_object=True)


@pytest.mark.parametrize(
    "faulty",
    [
        closed(a=text(maxLength=3), b=text(pattern=r"\bx"), c=text(maxLength=3)),
        closed(a=text(maxLength=3), b=closed(c=text(pattern=r"\bx")), d=text(maxLength=3)),
        {"oneOf": [{"type": "integer"}, {"type": "number"}]},
    ],
)
def test_a_schema_that_is_refused_leaves_those_behind_it_alone(faulty: dict[str, Any]) -> None:
    rules = Rules()
    with pytest.raises(SchemaInvalid):
        rules.schema(faulty, at="tools")
    notation = Notation.of(rules.text(rules.schema(closed(a=text(maxLength=3)), at="tools")))
    assert notation.accepts('{"a":"sky"}')
    assert not notation.accepts('{"a":"skyline"}')


def test_an_optional_property_that_never_ends_is_left_out() -> None:
    schema = {"type": "object", "properties": {"a": text(), "b": closed(again={"$ref": "#/properties/b"})}}
    notation = Notation.of(grammar_of(schema, name="row"))
    assert notation.accepts('{"a":"x"}')
    assert not any('"b"' in line for line in grammar_of(schema, name="row").splitlines())


def test_a_longer_limit_than_any_answer_is_kept_in_few_rules() -> None:
    grammar = grammar_of(text(maxLength=10**9), name="row")
    assert len(grammar) < 10_000
    assert Notation.of(grammar).accepts(f'"{"x" * 1000}"')


def test_equal_schemas_give_equal_grammars() -> None:
    assert grammar_of(tree(), name="one") == grammar_of(tree(), name="two")
