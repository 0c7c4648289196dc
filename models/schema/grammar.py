"""Grammars of JSON schemas: a text that follows one is valid against its schema.

A schema becomes shapes (`read`), references and combinations are worked out (`algebra`), shapes become rules
(`writer`), and what no text with an end can follow is left out. Where a schema allows more than can be followed in one
way or within limits, the grammar allows less; where it demands what no grammar can see to, it is refused.
"""

from collections.abc import Mapping
from typing import Final

from models.errors import SchemaInvalid
from models.schema.algebra import Algebra
from models.schema.document import Document
from models.schema.fault import Fault
from models.schema.pruning import repetitions
from models.schema.read import Reader
from models.schema.readings import check_readings
from models.schema.rulebook import RuleBook
from models.schema.shape import ANYTHING, Members, Ref, Shape, both
from models.schema.string import Strings
from models.schema.writer import Writer

# Parsed in 25 ms. OpenAI's limits (5,000 properties, 120,000 characters) come to less.
MAX_BYTES: Final = 512 * 1024
# llama.cpp writes them out, at up to 300 bytes each.
MAX_REPEATED: Final = 20_000

_OBJECT: Final = Members(is_open=True)


def grammar_of(schema: Mapping[str, object], *, name: str, strict: bool = False) -> str:
    """The grammar (GBNF, first rule `root`) of what is valid against a schema.

    Args:
        schema: as decoded from JSON.
        name: that its sender gave it, for messages.
        strict: whether OpenAI's demands on schemas are made, too: objects list all their properties as required, and
            have no others.

    Raises:
        SchemaInvalid: it is no schema, asks for what no grammar can see to, or is too large.

    """
    rules = Rules()
    root = rules.schema(schema, at="response_format", name=name, strict=strict)
    return rules.text(root, at="response_format")


def json_object_grammar() -> str:
    """The grammar of any JSON object."""
    return RuleBook().text("object")


class Rules(RuleBook):
    """Rules that can be made of schemas; several schemas fit into one grammar."""

    def __init__(self) -> None:
        super().__init__()
        self._readers: list[Reader] = []
        strings = Strings(self)
        self._writer = Writer(self, Algebra(self._resolve, strings.matches), strings)

    def schema(self, schema: object, *, at: str, name: str = "", strict: bool = False, is_object: bool = False) -> str:
        """The name of a rule for what is valid against a schema.

        Args:
            schema: as decoded from JSON.
            at: the field of the request that it stands in.
            name: that its sender gave it, for messages.
            strict: whether OpenAI's demands on schemas are made, too.
            is_object: whether of what is valid only objects count.

        Raises:
            SchemaInvalid: it cannot be followed.

        """
        reader = Reader(Document(schema), len(self._readers), is_strict=strict)
        self._readers.append(reader)
        try:
            rule = self._writer.rule(both(Ref(len(self._readers) - 1, ""), _OBJECT if is_object else ANYTHING))
            self._writer.finish()
            self._check(rule)
        except Fault as fault:
            raise SchemaInvalid(f"{at} {name!r}" if name else at, str(fault), param=at) from fault
        return rule

    def text(self, root: str, *, at: str = "response_format") -> str:
        """The grammar of a rule: GBNF whose first rule is `root`.

        Raises:
            SchemaInvalid: it is too large.

        """
        text = super().text(root)
        if len(text.encode()) > MAX_BYTES:
            raise SchemaInvalid(at, "the schema is too large", param=at)
        return text

    def _resolve(self, reference: Ref) -> Shape:
        return self._readers[reference.document].at(reference.pointer)

    def _check(self, rule: str) -> None:
        rules = self.reachable(rule)
        if not rules[rule]:
            raise Fault("", "no value can be valid, or none can ever be complete")
        if repetitions(rules) > MAX_REPEATED:
            raise Fault("", "the limits on lengths and on numbers of elements are too many or too large")
        check_readings(rules, self.forks)
