"""From the keywords of a schema to its shape: what they say, without what references and combinations come to.

Keywords that bear on nothing here (titles, defaults, unknown ones) are passed over, as JSON Schema demands. Those that
do and that no grammar can keep are refused; where it is certain that what is written keeps them anyway, they are not.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final

from models.schema import field
from models.schema.document import MAX_DEPTH, Document, local_pointer
from models.schema.fault import Fault, below
from models.schema.field import Schema
from models.schema.format import FORMATS
from models.schema.shape import (
    ANYTHING,
    BOOLEAN,
    NOTHING,
    NULL,
    Bound,
    Choice,
    Either,
    Items,
    Member,
    Members,
    Number,
    Ref,
    Shape,
    Text,
    both,
    either,
)

# What no grammar can see to, since it would have to compare, to count or to try.
_UNSUPPORTED: Final = (
    *("not", "if", "then", "else", "contains", "minContains", "maxContains"),
    *("dependentSchemas", "dependencies", "propertyNames", "patternProperties", "$dynamicRef", "$recursiveRef"),
)

# What depends on which schema of a combination has looked at a value; where there is none, on `properties` and `items`.
_UNSEEN: Final = ("unevaluatedProperties", "unevaluatedItems")
_COMBINING: Final = frozenset({"$ref", "allOf", "anyOf", "oneOf"})
_DOUBTFUL: Final = frozenset({*_UNSUPPORTED, *_UNSEEN})

# Which type a schema means that does not name it.
_MEANING: Final = {
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems", "uniqueItems", "unevaluatedItems"}),
    "object": frozenset({"properties", "required", "additionalProperties", "minProperties", "maxProperties"})
    | {"unevaluatedProperties"},
}
_KINDS: Final[Mapping[str, type | tuple[type, ...]]] = {
    "string": str,
    "number": (int, float),
    "array": list,
    "object": Mapping,
}

# Steps finer than doubles, or larger than whole numbers that are written here.
_FINEST_STEP: Final = Decimal("1e-15")
_LARGEST_STEP: Final = Decimal("1e18")
_MOST: Final = 1 << 16


class Reader:
    """Reads the schemas of one document.

    Args:
        document: they stand in.
        number: of the document, for its references.
        is_strict: whether objects have to name all their properties and demand them, as OpenAI's strict mode wants it.

    """

    def __init__(self, document: Document, number: int, *, is_strict: bool) -> None:
        self._document = document
        self._number = number
        self._is_strict = is_strict
        self._referred: dict[str, Shape] = {}
        # By identity: the document keeps them alive, and they are many.
        self._exact: set[int] = set()
        self._readers: Mapping[str, Callable[[Schema, str, int], Shape]] = {
            "string": lambda node, at, _: self._text(node, at),
            "number": lambda node, at, _: _number(node, at, is_whole=False),
            "integer": lambda node, at, _: _number(node, at, is_whole=True),
            "array": self._items,
            "object": self._members,
            "boolean": lambda *_: BOOLEAN,
            "null": lambda *_: NULL,
        }

    def at(self, pointer: str) -> Shape:
        """The shape of the schema at a pointer, read once."""
        if pointer not in self._referred:
            self._referred[pointer] = self.read(self._document.at(pointer, pointer), pointer, 0)
        return self._referred[pointer]

    def read(self, node: object, at: str, depth: int) -> Shape:
        """The shape of a schema.

        Raises:
            Fault: it is none, or one that no grammar can promise to keep.

        """
        if isinstance(node, bool):
            return ANYTHING if node else NOTHING
        if not isinstance(node, Mapping):
            raise Fault(at, "a schema must be an object, true or false")
        if depth > MAX_DEPTH:
            raise Fault(at, f"the schema nests more than {MAX_DEPTH} levels")
        if not _DOUBTFUL.isdisjoint(node):
            _check_keywords(node, at)
        return both(*self._parts(node, at, depth))

    def _parts(self, node: Schema, at: str, depth: int) -> Iterator[Shape]:
        if "$ref" in node:
            pointer = local_pointer(node["$ref"], at)
            self._document.at(pointer, below(at, "$ref"))
            yield Ref(self._number, pointer)
        yield from self._constants(node, at)
        yield self._typed(node, at, depth)
        for index, member in enumerate(field.array(node, "allOf", at)):
            yield self.read(member, below(at, "allOf", index), depth + 1)
        if "anyOf" in node:
            yield either(*self._options(node, "anyOf", at, depth))
        if "oneOf" in node:
            yield self._one_of(node, at, depth)

    def _options(self, node: Schema, keyword: str, at: str, depth: int) -> list[Shape]:
        options = field.array(node, keyword, at)
        if not options:
            raise Fault(below(at, keyword), "must name at least one schema")
        return [self.read(one, below(at, keyword, index), depth + 1) for index, one in enumerate(options)]

    def _one_of(self, node: Schema, at: str, depth: int) -> Shape:
        shapes = self._options(node, "oneOf", at, depth)
        for index, one in enumerate(field.array(node, "oneOf", at)):
            if not self._is_exact(one):
                raise Fault(below(at, "oneOf", index), "each schema in a oneOf must name its type; or use anyOf")
        tagged = field.mapping(node, "discriminator", at).get("propertyName")
        if isinstance(tagged, str):  # OpenAPI's: what tells the schemas apart, even where it has a default
            tag = Members((Member(tagged, ANYTHING, True),), is_open=True)
            shapes = [both(shape, tag) for shape in shapes]
        return Either(tuple(shapes), is_exclusive=True, at=at)

    def _is_exact(self, root: object) -> bool:
        """Whether a schema and all in it name the types that they mean: else its shape may be narrower than it is."""
        queue = [root]
        for node in queue:
            if isinstance(node, Mapping) and id(node) not in self._exact:
                self._exact.add(id(node))
                if node.keys().isdisjoint({"type", "enum", "const"}) and _meant(node):
                    return False
                queue.extend(self._inner(node))
        return True

    def _inner(self, node: Schema) -> Iterator[object]:
        for keyword in ("allOf", "anyOf", "oneOf", "prefixItems", "items"):
            value = node.get(keyword)
            yield from value if isinstance(value, list) else [value]
        properties = node.get("properties")
        yield from properties.values() if isinstance(properties, Mapping) else ()
        yield node.get("additionalProperties")
        if "$ref" in node:
            yield self._document.at(local_pointer(node["$ref"], ""), "")

    def _constants(self, node: Schema, at: str) -> Iterator[Shape]:
        if "enum" in node:
            yield Choice(self._document.take_values(field.array(node, "enum", at), below(at, "enum")))
        if "const" in node:
            yield Choice(self._document.take_values([node["const"]], below(at, "const")))

    def _typed(self, node: Schema, at: str, depth: int) -> Shape:
        types = self._types(node, at)
        if types is not None:
            return either(*(self._readers[one](node, at, depth) for one in types))
        meant = _meant(node)
        if not meant:
            return ANYTHING
        shapes = [self._readers[kind](node, at, depth) for kind in meant]
        return either(*shapes, *self._untouched(node, meant, at))

    def _untouched(self, node: Schema, meant: Sequence[str], at: str) -> Iterator[Shape]:
        """Constants of types that no keyword of the schema speaks of: they pass."""
        values = [*field.array(node, "enum", at), *([node["const"]] if "const" in node else [])]
        others = [value for value in values if not any(_is_kind(value, kind) for kind in meant)]
        if others:
            yield Choice(self._document.take_values(others, at))

    def _types(self, node: Schema, at: str) -> list[str] | None:
        named = node.get("type")
        if named is None:
            return None
        types = named if isinstance(named, list) else [named]
        for one in types:
            if not isinstance(one, str) or one not in self._readers:
                raise Fault(below(at, "type"), "must be one of " + ", ".join(self._readers) + ", or a list of these")
        return [one for one in dict.fromkeys(types) if one != "integer" or "number" not in types]

    def _text(self, node: Schema, at: str) -> Shape:
        if _MEANING["string"].isdisjoint(node):
            return Text(at=at)
        formats = field.strings(node, "format", at)
        if self._is_strict and not FORMATS.keys() >= set(formats):
            raise Fault(below(at, "format"), "the format is not supported; use one of " + ", ".join(FORMATS))
        known = tuple(one for one in formats if one in FORMATS)
        least, most = field.count(node, "minLength", at) or 0, field.count(node, "maxLength", at)
        return Text(least, most, field.strings(node, "pattern", at), known, at)

    def _items(self, node: Schema, at: str, depth: int) -> Shape:
        most = field.count(node, "maxItems", at)
        if node.get("uniqueItems") and (most is None or most > 1):
            raise Fault(below(at, "uniqueItems"), "uniqueItems is not supported here; leave it out")
        listed = node.get("items")
        if isinstance(listed, list):  # as it was written before 2020
            first, rest, key = listed, node.get("additionalItems"), "items"
        else:
            first, rest, key = field.array(node, "prefixItems", at), listed, "prefixItems"
        shapes = [self.read(one, below(at, key, index), depth + 1) for index, one in enumerate(first)]
        rest = node.get("unevaluatedItems") if rest is None else rest
        others = ANYTHING if rest is None else self.read(rest, below(at, "items"), depth + 1)
        is_listed = not first or rest is not None
        return Items(tuple(shapes), others, field.count(node, "minItems", at) or 0, most, is_listed, at)

    def _members(self, node: Schema, at: str, depth: int) -> Shape:
        properties = field.mapping(node, "properties", at)
        required = field.names(node.get("required", []), below(at, "required"))
        demanded = frozenset(required)
        if self._is_strict:
            _check_strict(node, properties, demanded, at)
        inside = below(at, "properties")
        named = []
        for name, one in properties.items():
            taken = self._document.take_name(name, at)
            named.append(Member(taken, self.read(one, inside + below("", name), depth + 1), name in demanded))
        others, is_open = self._others(node, at, depth)
        unnamed = [self._document.take_name(one, at) for one in required if one not in properties]
        named += [Member(one, others, True) for one in unnamed]
        _check_dependents(node, demanded, at)
        least, most = field.count(node, "minProperties", at) or 0, field.count(node, "maxProperties", at)
        return Members(tuple(named), others, is_open, least, most, at)

    def _others(self, node: Schema, at: str, depth: int) -> tuple[Shape, bool]:
        """What properties that are not named may be, and whether they are to be written."""
        others = node.get("additionalProperties", node.get("unevaluatedProperties"))
        if others is False:
            return NOTHING, False
        if others is not None:
            return self.read(others, below(at, "additionalProperties"), depth + 1), True
        return ANYTHING, "properties" not in node


def _meant(node: Schema) -> list[str]:
    """The types that the keywords of a schema speak of."""
    return [kind for kind, keywords in _MEANING.items() if not keywords.isdisjoint(node)]


def _check_keywords(node: Schema, at: str) -> None:
    for keyword in _UNSUPPORTED:
        if keyword in node:
            raise Fault(below(at, keyword), f"{keyword} is not supported here; leave it out")
    for keyword in _UNSEEN:
        if keyword in node and not _COMBINING.isdisjoint(node):
            raise Fault(below(at, keyword), f"{keyword} is not supported beside combinations; leave it out")


def _check_strict(node: Schema, properties: Mapping[str, object], required: frozenset[str], at: str) -> None:
    if node.get("additionalProperties") is not False:
        raise Fault(at, "'additionalProperties' is required to be supplied and to be false in strict mode")
    missing = next((name for name in properties if name not in required), None)
    if missing is not None:
        raise Fault(
            at,
            "'required' is required to be supplied and to be an array including every key in properties in strict"
            f" mode; missing '{missing}'",
        )


def _check_dependents(node: Schema, required: frozenset[str], at: str) -> None:
    for names in field.mapping(node, "dependentRequired", at).values():
        if not set(field.names(names, below(at, "dependentRequired"))) <= required:
            raise Fault(
                below(at, "dependentRequired"), "dependentRequired is not supported here; list them as required"
            )


def _number(node: Schema, at: str, *, is_whole: bool) -> Number:
    if _MEANING["number"].isdisjoint(node):
        return Number(is_whole=is_whole, at=at)
    lows = [_bound(node, "minimum", at, is_open=False), _bound(node, "exclusiveMinimum", at, is_open=True)]
    highs = [_bound(node, "maximum", at, is_open=False), _bound(node, "exclusiveMaximum", at, is_open=True)]
    low = max((bound for bound in lows if bound is not None), default=None)
    tightest = ((bound.value, not bound.is_open, bound) for bound in highs if bound is not None)
    high = min(tightest, default=None)
    step = field.decimal(node, "multipleOf", at)
    if step is not None and not _FINEST_STEP <= step <= _LARGEST_STEP:
        raise Fault(below(at, "multipleOf"), f"must be between {_FINEST_STEP} and {_LARGEST_STEP}")
    return Number(low, high and high[2], is_whole, () if step is None else (step,), at)


def _bound(node: Schema, keyword: str, at: str, *, is_open: bool) -> Bound | None:
    value = field.decimal(node, keyword, at)
    return None if value is None else Bound(value, is_open)


def _is_kind(value: object, kind: str) -> bool:
    return isinstance(value, _KINDS[kind]) and not isinstance(value, bool)
