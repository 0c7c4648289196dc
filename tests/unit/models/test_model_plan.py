import json
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from models.engine.event import Finish, Piece
from models.engine.healing import Seam
from models.server.answer import Reasoned, Said
from models.server.channels import FINAL
from models.server.constraint import Constraints
from models.server.marks import NEVER, Thinking
from models.server.plan import Plan, plan_chat, plan_text
from models.server.prompt import Prompt
from models.server.request import decode_chat, decode_completion
from models.server.sampling import SamplingDefaults
from models.server.service import Loaded
from models.server.thinking import THINK
from models.server.wire import Usage
from models.tools.format import FORMATS
from models.tools.told import Arguments, CallBegun

TOOLS = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{"}}
NAMED = {"type": "function", "function": {"name": "f"}}


@dataclass
class Encoder:
    """Two tokens of prompt and one for each byte of the answer; the last byte is taken back."""

    encoded: list[str] = field(default_factory=list)
    tools: list[Any] = field(default_factory=list)
    openings: list[str] = field(default_factory=list)

    def chat(self, messages: Any, delivered: str, tools: Any, opening: str) -> Prompt:
        self.tools.append(tools)
        self.openings.append(opening)
        ahead = messages[-1]["content"] if "prefix" in messages[-1] else ""
        prompt = self.text("", ahead + delivered)
        return replace(prompt, answered=max(prompt.answered - len(ahead), 0))

    def fitting_chat(
        self, messages: Any, delivered: str, answer_tokens: int | None, tools: Any, opening: str
    ) -> Prompt:
        prompt = self.chat(messages, delivered, tools, opening)
        return Prompt(prompt.tokens, prompt.seam, prompt.answered, is_shrunk=True)

    def text(self, text: str, delivered: str) -> Prompt:
        self.encoded.append(delivered)
        said = delivered.encode()
        return Prompt([1, 2, *said[:-1]], Seam(said, said[-1:]), len(said[:-1]))


@dataclass
class Rig:
    thinking: Thinking = NEVER
    encoder: Encoder = field(default_factory=Encoder)

    def loaded(self) -> Loaded:
        constraints = Constraints(lambda _grammar, _said: None, FORMATS["hermes"], takes_grammars=True)
        defaults = SamplingDefaults(temperature=0.2, top_p=0.9)
        encoder = cast("Any", self.encoder)
        return Loaded(cast("Any", None), encoder, defaults, 1000, 300, constraints, self.thinking, calls_token=299)

    def chat(self, *, shrinks: bool = False, **fields: Any) -> Plan:
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]} | fields
        return plan_chat(self.loaded(), decode_chat(json.dumps(body).encode()), 7, shrinks=shrinks)


def test_answers_of_one_prompt_have_seeds_that_count_up_and_are_encoded_once() -> None:
    rig = Rig()
    plan = rig.chat(n=3)
    assert [ask.params.seed for ask in plan.asks.values()] == [7, 8, 9]
    assert rig.encoder.encoded == [""]
    assert plan.before == Usage(2, 0)


def test_only_open_answers_are_asked_for_and_what_there_is_counts_as_answer() -> None:
    plan = Rig().chat(n=2, delivered_text=[None, "abc"])
    assert list(plan.asks) == list(plan.answers) == [1]
    assert (plan.asks[1].params.healing, plan.before) == (b"c", Usage(2, 2))


def test_free_answer_is_told_as_it_comes() -> None:
    plan = Rig().chat()
    assert plan.asks[0].params.grammar == ""
    assert plan.answers[0].take(Piece("<tool_call>")) == [Said("<tool_call>")]


def test_shrunk_prompt_is_noted() -> None:
    assert Rig().chat(shrinks=True).is_shrunk


def test_tools_are_told_to_the_model_unless_it_may_call_none() -> None:
    rig = Rig()
    rig.chat(tools=TOOLS)
    rig.chat(tools=TOOLS, tool_choice="none")
    assert [[tool["function"]["name"] for tool in tools or []] for tools in rig.encoder.tools] == [["f", "g"], []]


@pytest.mark.parametrize(
    ("choice", "ahead"),
    [
        ("auto", ""),
        ("required", '<tool_call>\n{"name": "'),
        (NAMED, '<tool_call>\n{"name": "f", "arguments": '),
    ],
)
def test_what_a_forced_answer_begins_with_is_read_and_not_generated(choice: Any, ahead: str) -> None:
    rig = Rig()
    plan = rig.chat(tools=TOOLS, tool_choice=choice)
    assert rig.encoder.encoded == [ahead]
    assert plan.asks[0].params.kept == ahead.encode()[:-1]
    assert plan.answers[0].begin() == ([CallBegun(0, "f")] if choice is NAMED else [])


@pytest.mark.parametrize(
    ("fields", "token"),
    [
        ({"tools": TOOLS}, 299),
        ({}, None),
        ({"tools": TOOLS, "tool_choice": "none"}, None),
        ({"tools": TOOLS, "tool_choice": "required"}, None),
        ({"tools": TOOLS, "delivered_text": "Hm."}, None),
    ],
)
def test_token_before_calls_may_open_an_answer_that_is_free_to_call(fields: dict[str, Any], token: int | None) -> None:
    assert Rig().chat(**fields).asks[0].params.opening_token == token


def test_call_that_was_delivered_goes_on_with_nothing_ahead() -> None:
    rig = Rig()
    plan = rig.chat(tools=TOOLS, tool_choice="required", delivered_text="Hm.", delivered_tool_calls=[CALL])
    assert rig.encoder.encoded == ['Hm.<tool_call>\n{"name": "f", "arguments": {']
    assert plan.answers[0].begin() == []
    assert plan.answers[0].take(Piece('"a": 1}}\n')) == [Arguments(0, '"a": 1}')]


def test_text_completions_take_a_grammar_for_each_answer() -> None:
    fields = {"model": "m", "prompt": ["a", "b"], "n": 2, "grammar": "root ::= [a-z]"}
    plan = plan_text(Rig().loaded(), decode_completion(json.dumps(fields).encode()), 7)
    assert {ask.params.grammar for ask in plan.asks.values()} == {"root ::= [a-z]"}
    assert [ask.params.seed for ask in plan.asks.values()] == [7, 8, 7, 8]


ITSELF, OPENED, CHANNELS = Thinking(THINK), Thinking(THINK, is_opened=True), Thinking(has_channels=True)


@pytest.mark.parametrize(
    ("thinking", "said", "expected"),
    [
        (NEVER, "<think>a</think>b", [Said("<think>a</think>b")]),
        (ITSELF, "<think>a</think>b", [Reasoned("a"), Said("b")]),
        (OPENED, "a</think>b", [Reasoned("a"), Said("b")]),
        (CHANNELS, "<|channel|>analysis<|message|>a<|end|>" + FINAL + "b", [Reasoned("a"), Said("b")]),
    ],
)
def test_thoughts_are_told_apart_where_the_model_has_some(thinking: Thinking, said: str, expected: Any) -> None:
    rig = Rig(thinking)
    assert rig.chat().answers[0].take(Piece(said)) == expected
    assert rig.encoder.openings == [""]


@pytest.mark.parametrize(
    "fields",
    [
        {"response_format": {"type": "json_object"}},
        {"tools": TOOLS, "tool_choice": "required"},
        {"delivered_text": "Yes"},
        {"grammar": "root ::= [a-z]"},
        {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Yes", "prefix": True}]},
    ],
)
@pytest.mark.parametrize(("thinking", "cut"), [(OPENED, "\n</think>\n\n"), (CHANNELS, FINAL), (ITSELF, "")])
def test_answer_without_room_for_thoughts_begins_where_they_would_end(
    thinking: Thinking, cut: str, fields: dict[str, Any]
) -> None:
    rig = Rig(thinking)
    plan = rig.chat(**fields)
    assert rig.encoder.openings == [cut]
    assert Reasoned not in map(type, plan.answers[0].take(Piece("x </think>")))


PLAIN = '{"name": "f", "arguments": {}}'
FORM = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}


@pytest.mark.parametrize("fields", [{"tools": TOOLS}, {"functions": [{"name": "f"}]}, {"delivered_text": "\n"}])
def test_answer_that_is_free_to_call_may_do_so_in_plain_json(fields: dict[str, Any]) -> None:
    fields = fields if "functions" in fields else {"tools": TOOLS} | fields
    assert Rig().chat(**fields).answers[0].take(Piece(PLAIN)) == [CallBegun(0, "f"), Arguments(0, "{}")]


@pytest.mark.parametrize(
    "fields",
    [
        {"response_format": FORM},
        {"response_format": {"type": "json_object"}},
        {"delivered_text": '{"name": "g'},
        {"tool_choice": "none"},
        {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "So:", "prefix": True}]},
    ],
)
def test_plain_json_is_words_where_the_grammar_does_not_see_to_the_arguments(fields: dict[str, Any]) -> None:
    assert Rig().chat(**{"tools": TOOLS} | fields).answers[0].take(Piece(PLAIN)) == [Said(PLAIN)]


def test_grammar_knows_where_thoughts_end_and_a_call_may_begin() -> None:
    answer = Rig(OPENED).chat(tools=TOOLS).answers[0]
    assert CallBegun(0, "f") in answer.take(Piece(f"Hm.</think>{PLAIN}"))


def test_call_in_a_channel_of_its_own_is_a_call() -> None:
    answer = Rig(CHANNELS).chat(tools=TOOLS).answers[0]
    text = '<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"a": 1}'
    assert answer.take(Piece(text)) == [CallBegun(0, "f"), Arguments(0, '{"a": 1}')]
    assert (answer.end(Finish.STOP), answer.reason(Finish.STOP)) == ([], "tool_calls")
