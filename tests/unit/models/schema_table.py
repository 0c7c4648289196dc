"""Schemas with texts that are valid and texts that are not, for a reader of grammars and for llama.cpp."""

import json
from typing import Any, NamedTuple


class Row(NamedTuple):
    schema: dict[str, Any]
    followed: tuple[str, ...]
    refused: tuple[str, ...]


def text(**fields: Any) -> dict[str, Any]:
    return {"type": "string", **fields}


def closed(**members: Any) -> dict[str, Any]:
    return {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}


def option(**members: Any) -> dict[str, Any]:
    return {"type": "object", "properties": members, "additionalProperties": False}


def tree() -> dict[str, Any]:
    """OpenAI's example of a recursive schema."""
    node = closed(
        type=text(enum=["div", "button", "header"]),
        label=text(),
        children={"type": "array", "items": {"$ref": "#"}},
        attributes={"type": "array", "items": {"$ref": "#/$defs/attribute"}},
    )
    return node | {"$defs": {"attribute": closed(name=text(), value={"type": ["string", "null"]})}}


EXPRESSION = {
    "$defs": {
        "node": {"anyOf": [{"$ref": "#/$defs/sum"}, {"$ref": "#/$defs/leaf"}]},
        "sum": closed(kind={"const": "sum"}, left={"$ref": "#/$defs/node"}, right={"$ref": "#/$defs/node"}),
        "leaf": closed(kind={"const": "leaf"}, value={"type": "number"}),
    },
    "$ref": "#/$defs/node",
}

TABLE: dict[str, Row] = {
    "strict object": Row(
        closed(name=text(), age={"type": "integer"}),
        ('{"name":"Zoë","age":3}', '{"name": "a\\"b", "age": -3}', '{\n  "name": "",\n  "age": 0\n}'),
        ('{"name":"a"}', '{"age":3,"name":"a"}', '{"name":"a","age":3.5}', '{"name":"a","age":3,"x":1}', "[]", "{ "),
    ),
    "optional properties": Row(
        {"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "null"}, "c": {"type": "null"}}}
        | {"required": ["b"]},
        ('{"b":null}', '{"a":null,"b":null}', '{"b":null, "c":null}'),
        ("{}", '{"a":null}', '{"b":null,"a":null}', '{"b":null,}', '{"b":null,"b":null}'),
    ),
    "open object": Row(
        {"type": "object", "properties": {"a": {"type": "null"}}, "additionalProperties": {"type": "integer"}},
        ("{}", '{"a":null}', '{"b":1,"c":2}', '{"a":null,"aa":1,"":2}'),
        ('{"a":1}', '{"b":null}', '{"b":1,"a":null}', '{"\\u0061":1}'),
    ),
    "map": Row(
        {"type": "object", "additionalProperties": {"type": "boolean"}, "minProperties": 1, "maxProperties": 2},
        ('{"x":true}', '{"x":true,"y":false}'),
        ("{}", '{"x":1}', '{"x":true,"y":false,"z":true}'),
    ),
    "any object": Row({"type": "object"}, ("{}", '{"a":[1,{"b":"c"}]}'), ("[]", '{"a"}')),
    "strings": Row(
        text(),
        ('""', '"é 漢字 🇫🇷"', '"\\u00e9\\ud83d\\ude00\\/\\n"'),
        ('"\n"', '"\\x"', '"\\ud83d"', '"\\ude00"', '"\\ud83d\\u0041"', "'a'"),
    ),
    "lengths": Row(
        text(minLength=2, maxLength=300),
        ('"ab"', '"\\ud83d\\ude00é"', f'"{"x" * 300}"'),
        ('"a"', '""', f'"{"x" * 301}"', '"\\ud83d\\ude00"'),
    ),
    "pattern": Row(
        text(pattern=r"^([a-z]+-)*[a-z]+\.(txt|md)$"),
        ('"a.md"', '"some-long-name.txt"'),
        ('"a.mdx"', '"-a.md"', '".md"', '"A.md"'),
    ),
    "pattern and length": Row(text(pattern="^a*b?$", minLength=2, maxLength=3), ('"ab"', '"aaa"'), ('"a"', '"aaab"')),
    "contradicting lengths": Row(
        {"anyOf": [text(pattern="a", minLength=3, maxLength=2), {"type": "null"}]}, ("null",), ('"a"', '"aaa"')
    ),
    "date": Row(text(format="date"), ('"2024-02-29"',), ('"2023-02-29"', '"2024-13-01"', '"0000-01-01"', '"2024-1-1"')),
    "date-time": Row(
        text(format="date-time"),
        ('"2024-02-29T23:59:59Z"', '"2024-02-29T23:59:59.123+02:00"'),
        ('"2024-02-29 23:59:59Z"', '"2024-02-29T24:00:00Z"', '"2024-02-29T23:59:59"'),
    ),
    "duration": Row(text(format="duration"), ('"P1DT2H"', '"P3W"', '"PT1S"'), ('"P"', '"PT"', '"1D"', '"P1S"')),
    "email": Row(text(format="email"), ('"a.b@c-d.org"',), ('"a@b"', '"a.@b.org"', '"@b.org"', '"a b@c.org"')),
    "hostname": Row(text(format="hostname"), ('"localhost"', '"a-1.example.com"'), ('"-a"', '"a-"', '"a..b"', '""')),
    "ipv4": Row(text(format="ipv4"), ('"255.0.10.1"',), ('"256.0.0.1"', '"1.2.3"', '"01.2.3.4"')),
    "ipv6": Row(
        text(format="ipv6"),
        ('"::"', '"::1"', '"1:2:3:4:5:6:7:8"', '"fe80::1:2"', '"1:2:3:4:5:6:7::"'),
        ('":::"', '"1::2::3"', '"1:2:3"', '"1:2:3:4:5:6:7:8:9"', '"1:2:3:4:5:6:7:8::"', '"12345::"'),
    ),
    "uuid": Row(text(format="uuid"), ('"123e4567-e89b-12d3-a456-426614174000"',), ('"123e4567"', '"g"')),
    "integer": Row({"type": "integer"}, ("0", "-7", "123456789012345678"), ("01", "1.0", "1e3", "1" * 19, "+1")),
    "number": Row({"type": "number"}, ("0", "-0.5", "1e10", "2.5E-3"), ("01", ".5", "1.", "1e", "0x1")),
    "range": Row(
        {"type": "integer", "minimum": -12, "exclusiveMaximum": 105},
        ("-12", "-9", "0", "99", "104"),
        ("-13", "105", "110", "00"),
    ),
    "decimal range": Row(
        {"type": "number", "exclusiveMinimum": 0.5, "maximum": 10.25},
        ("0.51", "0.500001", "3", "10.25", "10", "9.99"),
        ("0.5", "0.50", "0.4", "10.26", "10.3", "11", "-1", "5e0"),
    ),
    "multiples": Row(
        {"type": "integer", "multipleOf": 12, "minimum": 0}, ("0", "12", "144", "1200"), ("1", "13", "-12", "012")
    ),
    "cents": Row({"type": "number", "multipleOf": 0.01, "minimum": 0}, ("1.25", "7", "0.1"), ("1.255", "-1")),
    "nothing unevaluated": Row(
        {"allOf": [{"required": ["a"]}, {"properties": {"a": {"type": "null"}}, "unevaluatedProperties": False}]},
        ('{"a":null}',),
        ("{}", '{"a":null,"b":1}'),
    ),
    "no item unevaluated": Row({"type": "array", "unevaluatedItems": False}, ("[]",), ("[1]",)),
    "nullable": Row({"type": ["string", "null"]}, ('"a"', "null"), ("nul", "1", "")),
    "enum": Row(
        {"enum": ["ca", "cat", "car\n", 1, 12, 1.5, True, None, {"a": [1, 2]}]},
        ('"ca"', '"cat"', '"car\\n"', "1", "12", "1.5", "true", "null", '{"a":[1,2]}', '{ "a": [1, 2] }'),
        ('"c"', '"care"', "2", "15", "false", '{"a":[1]}', "{}"),
    ),
    "enum of a type": Row({"type": "string", "enum": ["a", 1]}, ('"a"',), ("1",)),
    "const": Row({"const": {"k": "v"}}, ('{"k":"v"}',), ('{"k":"w"}', "{}")),
    "array": Row(
        {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3},
        ("[1]", "[1, 2,3]", "[\n  1,\n  2\n]"),
        ("[]", "[1,2,3,4]", '["a"]', "[1,]"),
    ),
    "tuple": Row(
        {"type": "array", "prefixItems": [{"type": "null"}, {"type": "boolean"}], "items": False},
        ("[null,true]", "[null]", "[]"),
        ("[true]", "[null,true,1]"),
    ),
    "union": Row(
        {"anyOf": [closed(a=text(), b={"type": "integer"}), closed(a=text(), c=text()), {"type": "null"}]},
        ('{"a":"x","b":1}', '{"a":"x","c":"y"}', "null"),
        ('{"a":"x"}', '{"a":"x","b":"y"}', '{"a":"x","b":1,"c":"y"}'),
    ),
    "discriminated": Row(
        {"oneOf": [closed(kind={"const": "cat"}, lives={"type": "integer"}), closed(kind={"const": "car"}, km=text())]},
        ('{"kind":"cat","lives":9}', '{"kind":"car","km":"1"}'),
        ('{"kind":"cat","km":"1"}', '{"kind":"ca"}'),
    ),
    "discriminated by a default": Row(
        {"oneOf": [option(kind={"const": "cat"}), option(kind={"const": "car"}, km=text())]}
        | {"discriminator": {"propertyName": "kind"}},
        ('{"kind":"cat"}', '{"kind":"car","km":"1"}'),
        ("{}", '{"kind":"cat","km":"1"}'),
    ),
    "all of": Row(
        {"allOf": [{"$ref": "#/$defs/named"}, {"type": "object", "properties": {"age": {"type": "integer"}}}]}
        | {"$defs": {"named": {"type": "object", "properties": {"name": text()}, "required": ["name"]}}},
        ('{"name":"a"}', '{"name":"a","age":1}'),
        ("{}", '{"age":1}'),
    ),
    "reference with more": Row(
        {"$defs": {"small": {"type": "integer", "maximum": 9}}, "$ref": "#/$defs/small", "minimum": 8},
        ("8", "9"),
        ("7", "10"),
    ),
    "tree": Row(
        tree(),
        (
            '{"type":"div","label":"","children":[],"attributes":[{"name":"a","value":null}]}',
            '{"type":"div","label":"","children":[{"type":"div","label":"x","children":[],"attributes":[]}],"attributes":[]}',
        ),
        ('{"type":"div","label":"","children":[1],"attributes":[]}', '{"type":"span"}'),
    ),
    "expression": Row(
        EXPRESSION,
        (
            '{"kind":"leaf","value":1}',
            '{"kind":"sum","left":{"kind":"leaf","value":1},"right":{"kind":"leaf","value":2}}',
        ),
        ('{"kind":"leaf","left":1}', '{"kind":"sum","left":{"kind":"leaf","value":1}}'),
    ),
    "odd names": Row(
        closed(**{'a"b\\c': text(), "": text(), "é\n": text()}),
        ('{"a\\"b\\\\c":"","":"","é\\n":""}',),
        ('{"a":"","":"","é\\n":""}',),
    ),
    "anything": Row({}, ("1", "[]", '{"a":{}}', '"x"', "null"), ("nil", "{a:1}")),
    "an option that never ends": Row(
        {"anyOf": [closed(again={"$ref": "#"}), {"type": "null"}]}, ("null", '{"again":null}'), ('{"again":1}',)
    ),
}
# As any program prints it, with and without blanks: where a value follows, so does its other spelling.
SPELLINGS = [{"indent": None}, {"indent": 2}, {"indent": 4}, {"separators": (",", ":")}]


def spellings(value: Any) -> list[str]:
    return [json.dumps(value, ensure_ascii=False, **form) for form in SPELLINGS]
