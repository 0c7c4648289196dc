from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from models.errors import DeliveredTextUnfit, GrammarInvalid, RequestError
from models.server.constraint import Constraints
from models.server.grammars import Wish
from models.server.offer import Function, Offer
from models.server.request import ResponseFormat
from models.tools.demand import Delivered
from models.tools.format import FORMATS, Spoken

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Paris"]}},
    "required": ["city"],
    "additionalProperties": False,
}
OPEN_SCHEMA = {"type": "object", "properties": {"zqx": {"not": {"type": "string"}}}}


@dataclass
class Checker:
    """Takes any grammar, and an answer's beginning only for grammars that are the `fitting`-th or later."""

    fitting: int = 0
    checked: list[tuple[str, bytes]] = field(default_factory=list)

    def __call__(self, grammar: str, delivered: bytes) -> None:
        begun = [grammar for grammar, text in self.checked if text]
        self.checked.append((grammar, delivered))
        if delivered and len(begun) < self.fitting:
            raise DeliveredTextUnfit

    @property
    def made(self) -> list[str]:
        return [grammar for grammar, delivered in self.checked if not delivered]


def constraints(checker: Checker, *, takes_grammars: bool = False) -> Constraints:
    return Constraints(checker, FORMATS["generic"], takes_grammars=takes_grammars)


def form(schema: dict[str, Any] | None = None, *, strict: bool | None = None) -> ResponseFormat:
    fields = {"type": "json_object"}
    if schema is not None:
        fields = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": strict}}
    return msgspec.convert(fields, ResponseFormat)


def offer(*functions: Function, is_forced: bool = False) -> Offer:
    known = {function.name: function for function in functions}
    return Offer(known, list(known), is_forced, is_single=False, is_legacy=False, finish="tool_calls")


def wish(form: ResponseFormat | None = None, offer: Offer | None = None, said: Delivered | None = None) -> Wish:
    return Wish(form, offer, said or Delivered())


@pytest.mark.parametrize("free", [None, msgspec.convert({"type": "text"}, ResponseFormat)])
def test_free_answer_has_no_grammar(free: ResponseFormat | None) -> None:
    assert constraints(Checker()).constrain(wish(free), b"Hi") == ""


def test_grammar_is_made_and_checked_once_for_each_schema() -> None:
    checker = Checker()
    made = constraints(checker)
    first = made.constrain(wish(form(SCHEMA, strict=True)), b"")
    assert made.constrain(wish(form(SCHEMA, strict=True)), b"") == first
    assert made.constrain(wish(form()), b"") != first
    assert len(checker.made) == 2


def test_keys_in_another_order_are_another_schema() -> None:
    checker = Checker()
    made = constraints(checker)
    two = {"a": {"type": "null"}, "b": {"type": "null"}}
    for properties in (two, dict(reversed(two.items()))):
        made.constrain(wish(form({"type": "object", "properties": properties})), b"")
    assert len(checker.made) == 2


def test_what_is_delivered_is_checked_each_time() -> None:
    checker = Checker()
    made = constraints(checker)
    for delivered in (b'{"city', b'{"c'):
        made.constrain(wish(form(SCHEMA)), delivered)
    assert [delivered for _, delivered in checker.checked] == [b"", b'{"city', b'{"c']


def test_answer_begun_otherwise_goes_on_as_any_json_unless_it_was_promised_to_be_strict() -> None:
    free = constraints(Checker()).constrain(wish(form()), b"")
    assert constraints(Checker(fitting=1)).constrain(wish(form(SCHEMA)), b'{"odd') == free
    with pytest.raises(DeliveredTextUnfit):
        constraints(Checker(fitting=2)).constrain(wish(form(SCHEMA, strict=True)), b'{"odd')


def test_arguments_follow_their_schema() -> None:
    grammar = constraints(Checker()).constrain(wish(offer=offer(Function("f", parameters=SCHEMA))), b"")
    assert "Paris" in grammar


@pytest.mark.parametrize("schema", [{"type": "string"}, {"type": "array"}, {"enum": [1]}])
def test_arguments_are_an_object_whatever_their_schema_says(schema: dict[str, Any]) -> None:
    made = constraints(Checker())
    anything = made.constrain(wish(offer=offer(Function("f", parameters=OPEN_SCHEMA))), b"")
    assert made.constrain(wish(offer=offer(Function("f", parameters=schema))), b"") == anything
    with pytest.raises(RequestError):
        made.constrain(wish(offer=offer(Function("f", parameters=schema, strict=True))), b"")


def test_function_without_parameters_takes_none() -> None:
    grammar = constraints(Checker()).constrain(wish(offer=offer(Function("f"))), b"")
    assert '"{}"' in grammar


def test_schema_that_no_grammar_can_keep_is_refused_only_where_it_is_strict() -> None:
    made = constraints(Checker())
    assert made.constrain(wish(offer=offer(Function("f", parameters=OPEN_SCHEMA))), b"")
    with pytest.raises(RequestError) as caught:
        made.constrain(wish(offer=offer(Function("f", parameters=OPEN_SCHEMA, strict=True))), b"")
    assert caught.value.param == "tools"


def test_functions_whose_schemas_are_too_much_together_take_any_arguments() -> None:
    def check(grammar: str, _delivered: bytes) -> None:
        if "Paris" in grammar:
            raise GrammarInvalid("is too long")

    made = Constraints(check, FORMATS["generic"], takes_grammars=False)
    assert made.constrain(wish(offer=offer(Function("f", parameters=SCHEMA))), b"")
    with pytest.raises(GrammarInvalid):
        made.constrain(wish(form(SCHEMA)), b"")


def test_words_that_were_said_do_not_change_the_grammar_of_free_tools() -> None:
    checker = Checker()
    made = constraints(checker)
    for words in ("a", "b"):
        made.constrain(wish(offer=offer(Function("f")), said=Delivered(words)), words.encode())
    assert len(checker.made) == 1


def test_call_that_goes_on_is_ruled_though_another_function_is_asked_for() -> None:
    known = Offer({"f": Function("f"), "g": Function("g")}, ["f"], True, True, is_legacy=False, finish="stop")
    said = Delivered("", [Spoken("g", "{")])
    assert 'g\\"' in constraints(Checker()).constrain(
        wish(offer=known, said=said), said.spell(FORMATS["generic"]).encode()
    )


def test_schema_is_missing() -> None:
    named = msgspec.convert({"type": "json_schema", "json_schema": {"name": "a"}}, ResponseFormat)
    for incomplete in (named, msgspec.convert({"type": "json_schema"}, ResponseFormat)):
        with pytest.raises(RequestError) as caught:
            constraints(Checker()).constrain(wish(incomplete), b"")
        assert caught.value.param == "response_format.json_schema"


def test_clients_own_grammar_is_taken_where_the_operator_says_so() -> None:
    checker = Checker()
    assert constraints(checker, takes_grammars=True).own("root ::= [a-z]", b"x") == "root ::= [a-z]"
    assert checker.checked == [("root ::= [a-z]", b"x")]
    assert constraints(checker).own("", b"x") == ""
    with pytest.raises(GrammarInvalid, match="--allow-grammars"):
        constraints(checker).own("root ::= [a-z]", b"")
