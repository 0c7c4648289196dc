"""Random schemas: with a value that is valid, with keywords that contradict each other, with none of the right form."""

from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import strategies as st

Pair = tuple[dict[str, Any], Any]

NAMES = st.text('abcdé"\\ /{1', min_size=1, max_size=4)
PATTERNS = (
    (r"^[a-z]{2,5}$", "abc"),
    (r"^\d{3}-\d{4}$", "123-4567"),
    (r"^(red|green|blue)(,(red|green|blue))*$", "red,blue,red"),
    (r"^[^\s@]+@[^\s@]+$", "a@b"),
    (r"end$", "the end"),
    (r"^(?=.*[A-Z])(?=.*\d).{4,}$", "xY7z"),
    (r'^"\w+"$', '"quoted"'),
    (r"[.]json|[.]ya?ml", "a.yml.bak"),
)
FORMATS = {
    "date-time": "2024-02-29T23:59:59Z",
    "date": "0001-01-01",
    "time": "08:30:00.5+01:00",
    "duration": "P1Y2M3DT4H5M6S",
    "email": "ann.lee+x@mail.example.co.uk",
    "hostname": "eu-west-1.example.com",
    "ipv4": "192.168.0.255",
    "ipv6": "2001:db8::8a2e:370:7334",
    "uuid": "123e4567-e89b-12d3-a456-426614174000",
}
TEXTS = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=12)
CONSTANTS = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | NAMES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=3,
)


@st.composite
def strings(draw: st.DrawFn) -> Pair:
    kind = draw(st.sampled_from(["plain", "length", "pattern", "format"]))
    if kind == "pattern":
        pattern, text = draw(st.sampled_from(PATTERNS))
        return {"type": "string", "pattern": pattern}, text
    if kind == "format":
        name = draw(st.sampled_from(sorted(FORMATS)))
        return {"type": "string", "format": name}, FORMATS[name]
    text = draw(TEXTS)
    if kind == "plain":
        return {"type": "string"}, text
    least, most = len(text) - draw(st.integers(0, 3)), len(text) + draw(st.integers(0, 300))
    return {"type": "string", "minLength": max(least, 0), "maxLength": most}, text


@st.composite
def numbers(draw: st.DrawFn) -> Pair:
    value = draw(st.integers(-2000, 2000) | st.decimals(-100, 100, places=2).map(float))
    schema: dict[str, Any] = {"type": "integer" if isinstance(value, int) and draw(st.booleans()) else "number"}
    if draw(st.booleans()):
        schema["minimum"] = value - draw(st.integers(0, 500) | st.sampled_from([0.5, 0.07]))
    if draw(st.booleans()):
        schema["exclusiveMaximum"] = value + draw(st.integers(1, 500) | st.sampled_from([0.5, 0.07]))
    if isinstance(value, int) and draw(st.booleans()):
        steps = [step for step in (1, 2, 5, 7, 10, 60, 100) if value % step == 0]
        schema["multipleOf"] = draw(st.sampled_from(steps))
    return schema, value


@st.composite
def constants(draw: st.DrawFn) -> Pair:
    values = draw(st.lists(CONSTANTS, min_size=1, max_size=5))
    value = draw(st.sampled_from(values))
    return ({"const": value} if draw(st.booleans()) else {"enum": values}), value


def leaves() -> st.SearchStrategy[Pair]:
    simple = st.sampled_from([({"type": "boolean"}, True), ({"type": "null"}, None), ({}, {"any": [1, "x"]})])
    return strings() | numbers() | constants() | simple


@st.composite
def arrays(draw: st.DrawFn, inner: st.SearchStrategy[Pair]) -> Pair:
    first = draw(st.lists(inner, max_size=2))
    schema, value = draw(inner)
    count = draw(st.integers(0, 3))
    values = [one for _, one in first] + [value] * count
    whole: dict[str, Any] = {"type": "array", "items": schema}
    if first:
        whole["prefixItems"] = [one for one, _ in first]
    if draw(st.booleans()):
        whole["minItems"] = max(0, len(values) - draw(st.integers(0, 2)))
    if draw(st.booleans()):
        whole["maxItems"] = len(values) + draw(st.integers(0, 2))
    return whole, values


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[Pair]) -> Pair:
    members = draw(st.dictionaries(NAMES, inner, max_size=5))
    required = [name for name in members if draw(st.booleans())]
    written = {name: one for name, (_, one) in members.items() if name in required or draw(st.booleans())}
    whole: dict[str, Any] = {"type": "object", "properties": {name: one for name, (one, _) in members.items()}}
    if required:
        whole["required"] = required
    if draw(st.booleans()):
        whole["additionalProperties"] = False
    elif draw(st.booleans()):
        whole["additionalProperties"], value = draw(inner)
        written |= {"zz": value}
    return whole, written


@st.composite
def unions(draw: st.DrawFn, inner: st.SearchStrategy[Pair]) -> Pair:
    options = draw(st.lists(inner, min_size=1, max_size=4))
    return {"anyOf": [one for one, _ in options]}, draw(st.sampled_from([one for _, one in options]))


@st.composite
def merged(draw: st.DrawFn, inner: st.SearchStrategy[Pair]) -> Pair:
    """allOf of two objects that name different properties."""
    names = draw(st.lists(NAMES, min_size=2, max_size=4, unique=True))
    pairs = [draw(inner) for _ in names]
    parts = [
        {"type": "object", "properties": {name: schema}, "required": [name]}
        for name, (schema, _) in zip(names, pairs, strict=True)
    ]
    return {"allOf": parts}, {name: value for name, (_, value) in zip(names, pairs, strict=True)}


@st.composite
def referring(draw: st.DrawFn, inner: st.SearchStrategy[Pair]) -> Pair:
    """A tree of nodes that carry something, its schema in $defs under a name with all that pointers escape."""
    schema, value = draw(inner)
    node = {
        "type": "object",
        "properties": {
            "here": schema,
            "below": {"type": "array", "items": {"$ref": "#/$defs/a~1b~0%25"}},
            "next": {"anyOf": [{"$ref": "#/$defs/a~1b~0%25"}, {"type": "null"}]},
        },
        "required": ["here", "below", "next"],
        "additionalProperties": False,
    }
    leaf = {"here": value, "below": [], "next": None}
    whole = {"$defs": {"a/b~%": node}, "$ref": "#/$defs/a~1b~0%25"}
    return whole, {"here": value, "below": [leaf] * draw(st.integers(0, 2)), "next": leaf}


def trees() -> st.SearchStrategy[Pair]:
    return st.recursive(
        leaves(), lambda inner: arrays(inner) | objects(inner) | unions(inner) | merged(inner), max_leaves=8
    )


def schemas() -> st.SearchStrategy[Pair]:
    """Schemas with references at their root only, so that what they refer to is there."""
    return trees() | referring(trees())


KEYWORDS = [
    *("type", "enum", "const", "properties", "required", "additionalProperties", "patternProperties"),
    *("propertyNames", "minProperties", "maxProperties", "items", "prefixItems", "additionalItems", "contains"),
    *("minItems", "maxItems", "uniqueItems", "minLength", "maxLength", "pattern", "format", "minimum", "maximum"),
    *("exclusiveMinimum", "exclusiveMaximum", "multipleOf", "allOf", "anyOf", "oneOf", "not", "if", "then"),
    *("else", "$ref", "$defs", "definitions", "$id", "$anchor", "dependentRequired", "dependentSchemas"),
    *("unevaluatedProperties", "title", "default", "nonsense"),
]
TYPES = ("string", "number", "integer", "boolean", "null", "object", "array")
REFERENCES = ("#", "#/$defs/a", "#/$defs/b", "#/properties/a", "#/items", "#/anyOf/0", "#/allOf/1", "#x", "http://x/y")
NASTY_PATTERNS = (
    "(a*)*$",
    "((a?){30}){30}",
    "^(a|b)*a(a|b){20}$",
    ".{0,99999}x",
    "(" * 60,
    "[z-a]",
    "\\",
    "a{9,1}",
    "",
)
NUMBERS = (0, -1, 1, 0.5, 1e-300, 1e308, -1e308, 10**30, 2**63, 1000, 100_000, True, None, "5")


def hostile() -> st.SearchStrategy[Any]:
    """What has the keywords of a schema, and in them anything."""
    odd = (
        st.sampled_from([*NUMBERS, *TYPES, *REFERENCES, *NASTY_PATTERNS, "\ud800", "a" * 5000, [], {}, [[]], [1, 1]])
        | st.lists(st.sampled_from([*TYPES, "a", "b", 1]), max_size=4)
        | st.lists(CONSTANTS, max_size=4)
    )
    return st.recursive(st.booleans() | odd, _hostile, max_leaves=25).filter(lambda one: isinstance(one, dict))


def _hostile(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A schema whose keywords mostly hold something of the right form."""
    numbers, names = st.sampled_from(NUMBERS), st.sampled_from(["a", "b", "c", "", '"'])
    members, schemas_ = st.dictionaries(names, inner, max_size=4), st.lists(inner, max_size=4)
    fitting = {
        "type": st.sampled_from(TYPES) | st.lists(st.sampled_from(TYPES), max_size=3),
        **dict.fromkeys(("properties", "$defs", "definitions", "patternProperties"), members),
        **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), schemas_),
        **dict.fromkeys(("items", "additionalProperties", "additionalItems"), inner),
        **dict.fromkeys([one for one in KEYWORDS if one.startswith(("min", "max", "exclusive", "multiple"))], numbers),
        "required": st.lists(names, max_size=3),
        "enum": st.lists(CONSTANTS, max_size=4),
        "pattern": st.sampled_from([*NASTY_PATTERNS, *(one for one, _ in PATTERNS)]),
        "format": st.sampled_from([*FORMATS, "uri"]),
        "$ref": st.sampled_from(REFERENCES),
    }
    few = st.lists(st.sampled_from(sorted(fitting)), max_size=5, unique=True)
    usual = few.flatmap(lambda chosen: st.fixed_dictionaries({one: fitting[one] for one in chosen}))
    return usual | st.dictionaries(st.sampled_from(KEYWORDS), inner, max_size=4)


def regexes() -> st.SearchStrategy[str]:
    """Regular expressions that ECMA and Python read alike."""
    atoms = st.sampled_from(["a", "b", "ab", ".", r"\d", r"\w", r"\s", r"\D", r"\W", "[ab]", "[^a]", r"[^\w-]", r"\-"])
    bodies = st.recursive(atoms, _combined, max_leaves=8)
    return st.builds(
        "{}{}{}".format, st.sampled_from(["", "^", "^(?=.*1)", "^(?!ab)"]), bodies, st.sampled_from(["", "$"])
    )


def _combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    times = st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{0,2}", "{2,}"])
    return (
        st.builds("({}|{})".format, inner, inner)
        | st.builds("{}{}".format, inner, inner)
        | st.builds("(?:{}){}".format, inner, times)
    )


VALUES = (1, 0, 10, 2.5, "a", "b", "abc", None, True, {"a": 1}, {}, [1], [])


def _several(chance: Random, depth: int) -> list[dict[str, Any]]:
    return [tangled(chance, depth) for _ in range(chance.randint(1, 3))]


TANGLES: dict[str, Callable[[Random, int], Any]] = {
    "type": lambda chance, _: chance.choice([*TYPES, ["string", "null"], ["object", "array"], ["integer", "string"]]),
    "minLength": lambda chance, _: chance.randint(0, 4),
    "maxLength": lambda chance, _: chance.randint(0, 6),
    "pattern": lambda chance, _: chance.choice(["^a", "b$", "^[a-c]*$", "x", "^.{2,4}$", "[^a]"]),
    "format": lambda chance, _: chance.choice(["date", "ipv4", "uuid", "uri"]),
    "minimum": lambda chance, _: chance.choice([-3, 0, 1.5, 10, -2.25]),
    "maximum": lambda chance, _: chance.choice([3, 0, 1.75, 100]),
    "exclusiveMinimum": lambda chance, _: chance.choice([3, 0, 1.5]),
    "multipleOf": lambda chance, _: chance.choice([1, 2, 3, 10, 0.5]),
    "enum": lambda chance, _: chance.sample(VALUES, chance.randint(1, 5)),
    "const": lambda chance, _: chance.choice(VALUES),
    "properties": lambda chance, depth: {name: tangled(chance, depth) for name in chance.sample("abcd", 2)},
    "required": lambda chance, _: chance.sample("abcde", chance.randint(0, 2)),
    "additionalProperties": lambda chance, depth: chance.choice([False, True, tangled(chance, depth)]),
    "minProperties": lambda chance, _: chance.randint(0, 3),
    "maxProperties": lambda chance, _: chance.randint(0, 3),
    "items": lambda chance, depth: chance.choice([False, True, tangled(chance, depth)]),
    "prefixItems": _several,
    "minItems": lambda chance, _: chance.randint(0, 3),
    "maxItems": lambda chance, _: chance.randint(0, 3),
    "anyOf": _several,
    "allOf": _several,
    "oneOf": _several,
    "unevaluatedProperties": lambda *_: False,
    "unevaluatedItems": lambda *_: False,
    "$ref": lambda chance, _: chance.choice(["#/$defs/x", "#/$defs/y"]),
}


def tangled(chance: Random, depth: int) -> dict[str, Any]:
    """A schema whose keywords have the right form, and need not agree; mostly it says its type."""
    schema = {"type": TANGLES["type"](chance, depth)} if chance.random() < 0.7 else {}
    keywords = chance.sample(sorted(TANGLES), chance.randint(0, 4)) if depth else []
    return schema | {keyword: TANGLES[keyword](chance, depth - 1) for keyword in keywords}
