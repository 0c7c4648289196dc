"""Grammars of the forms that a chat may ask for: JSON of any kind or by a schema, and calls of tools. Pure."""

from dataclasses import dataclass, field
from typing import Final

from models.errors import RequestError, SchemaInvalid
from models.schema.grammar import Rules
from models.server.offer import Function, Offer
from models.server.request import ResponseFormat
from models.tools.demand import Delivered, Demand, Foreword
from models.tools.format import ToolFormat
from models.tools.grammar import ROOT, answer_rules
from models.tools.lead import Lead, lead_of

_ANY_OBJECT: Final = "object"
_NO_ARGUMENTS: Final = '"{}"'


@dataclass(frozen=True, slots=True)
class Wish:
    """What one answer has to be.

    Attributes:
        form: of an answer that calls no tools; None or text for any words.
        offer: of tools.
        said: what there is of it.
        foreword: what may stand before its words.

    """

    form: ResponseFormat | None
    offer: Offer | None
    said: Delivered
    foreword: Foreword = field(default=Foreword())

    @property
    def is_free(self) -> bool:
        """Whether any words will do."""
        return self.offer is None and not self.has_form

    @property
    def has_form(self) -> bool:
        """Whether words that call no tools are JSON."""
        return self.form is not None and self.form.type != "text"

    @property
    def is_begun(self) -> bool:
        """Whether its words have begun, so that those to come can be no call in plain JSON."""
        return bool(self.said.words.strip())

    @property
    def rules(self) -> tuple[ResponseFormat | None, Offer | None, Delivered | None, bool, Foreword]:
        """What its grammar depends on."""
        is_spelled_out = self.said.calls or (self.offer is not None and self.offer.is_forced)
        return self.form, self.offer, self.said if is_spelled_out else None, self.is_begun, self.foreword

    def lead(self, spelling: ToolFormat) -> Lead | None:
        """How it may begin with a call in plain JSON; None if it has to be something else."""
        if self.offer is None or self.offer.is_forced or self.has_form or self.is_begun or self.said.calls:
            return None
        return lead_of(spelling, self.offer.names)


def chat_grammar(wish: Wish, spelling: ToolFormat, *, is_loose: bool) -> str:
    """The grammar of an answer, from its beginning.

    Args:
        wish: what it has to be; not free.
        spelling: how the model spells calls.
        is_loose: of what goes on behind another model's words only what is strict has to be kept.

    Raises:
        RequestError: a schema is missing, or cannot be kept.

    """
    rules = Rules()
    form = _form(rules, wish.form, is_loose=is_loose) if wish.form is not None and wish.has_form else None
    if wish.offer is None:
        return rules.text(form or _ANY_OBJECT)
    demand = _demand(rules, wish, wish.offer, form, is_loose=is_loose)
    for name, alternatives in answer_rules(spelling, demand, wish.said):
        rules.define(name, *alternatives)
    return rules.text(ROOT, at="tools")


def _demand(rules: Rules, wish: Wish, offer: Offer, instead: str | None, *, is_loose: bool) -> Demand:
    names = list(dict.fromkeys([*offer.names, *(call.name for call in wish.said.calls)]))
    arguments = {name: _arguments(rules, offer.functions[name], is_loose=is_loose) for name in names}
    return Demand(arguments, offer.is_forced, offer.is_single, instead, wish.is_begun, wish.foreword)


def _form(rules: Rules, form: ResponseFormat, *, is_loose: bool) -> str:
    wanted, at = form.json_schema, "response_format"
    if form.type == "json_object":
        return _ANY_OBJECT
    if wanted is None or wanted.schema is None:
        raise RequestError("a json_schema has a name and a schema", param=f"{at}.json_schema")
    if is_loose and not wanted.strict:
        return _ANY_OBJECT
    return rules.schema(wanted.schema, at=at, name=wanted.name, strict=bool(wanted.strict))


def _arguments(rules: Rules, function: Function, *, is_loose: bool) -> str:
    """What is not strict follows its schema as far as a grammar can see to it; all are objects, also where it is not
    said: what reads calls, here and at the client, knows no other arguments.
    """
    if not function.parameters:
        return _NO_ARGUMENTS
    if is_loose and not function.strict:
        return _ANY_OBJECT
    try:
        strict = bool(function.strict)
        return rules.schema(function.parameters, at="tools", name=function.name, strict=strict, is_object=True)
    except SchemaInvalid:
        if function.strict:
            raise
        return _ANY_OBJECT
