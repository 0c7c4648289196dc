"""llama.cpp's own reading of the grammars for tool calls, with the real vocabulary."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from models.engine.llama.grammar import Grammar, check_grammar, grammar_behind
from models.engine.llama.model import Model
from models.errors import DeliveredTextUnfit
from models.schema.rulebook import RuleBook
from models.tools.demand import Delivered, Demand, Foreword
from models.tools.format import FORMATS, Spoken, ToolFormat
from models.tools.grammar import MOST_CALLS, ROOT, answer_rules

pytestmark = pytest.mark.model

CALLS = [Spoken("look_up", '{"q": "<tool_call>"}'), Spoken("now", "{}")]
DEMAND = Demand({"look_up": "object", "now": '"{}"'})
FORCED = Demand({"look_up": "object", "now": '"{}"'}, is_forced=True)
SINGLE = Demand({"look_up": "object", "now": '"{}"'}, is_single=True)


@pytest.fixture(scope="module")
def model(model_file: Path) -> Iterator[Model]:
    model = Model(model_file, gpu_layers=0)
    yield model
    model.close()


def grammar(form: ToolFormat, demand: Demand, said: Delivered | None = None) -> str:
    rules = RuleBook()
    for name, alternatives in answer_rules(form, demand, said or Delivered()):
        rules.define(name, *alternatives)
    return rules.text(ROOT)


def follows(model: Model, text: str, answer: str) -> bool:
    """Whether this is a whole answer."""
    check_grammar(model, text)
    read = Grammar(model, text)
    try:
        return read.advance(answer.encode()) and read.accept(min(model.end_tokens))
    finally:
        read.close()


@pytest.mark.parametrize("name", FORMATS)
def test_spelled_calls_are_whole_answers(model: Model, name: str) -> None:
    form = FORMATS[name]
    for demand in (DEMAND, FORCED):
        assert follows(model, grammar(form, demand), form.spell(CALLS, is_open=False))


@pytest.mark.parametrize("name", FORMATS)
def test_words_are_whole_answers_unless_a_call_is_forced(model: Model, name: str) -> None:
    for words in ("", "Hi <b>, {1} [2] \n\u6f22 <tool_cal"):
        assert follows(model, grammar(FORMATS[name], DEMAND), words)
        assert not follows(model, grammar(FORMATS[name], FORCED), words)


@pytest.mark.parametrize("name", FORMATS)
def test_call_of_an_unknown_function_or_without_arguments_is_refused(model: Model, name: str) -> None:
    form = FORMATS[name]
    for call in (Spoken("other", "{}"), Spoken("now", '"text"'), Spoken("now", '{"a": 1}'), Spoken("look_up", "[]")):
        assert not follows(model, grammar(form, DEMAND), form.spell([call], is_open=False))


@pytest.mark.parametrize("name", FORMATS)
def test_second_call_is_refused_where_one_is_wanted(model: Model, name: str) -> None:
    form = FORMATS[name]
    assert follows(model, grammar(form, SINGLE), form.spell(CALLS[:1], is_open=False))
    assert not follows(model, grammar(form, SINGLE), form.spell(CALLS, is_open=False))


@pytest.mark.parametrize("name", FORMATS)
def test_calls_without_end_are_refused(model: Model, name: str) -> None:
    form, call = FORMATS[name], Spoken("now", "{}")
    assert follows(model, grammar(form, FORCED), form.spell([call] * MOST_CALLS, is_open=False))
    assert not follows(model, grammar(form, FORCED), form.spell([call] * (MOST_CALLS + 1), is_open=False))


@pytest.mark.parametrize("name", ["hermes", "generic"])
def test_words_may_stand_before_calls_and_not_behind_them(model: Model, name: str) -> None:
    text, calls = grammar(FORMATS[name], DEMAND), FORMATS[name].spell(CALLS, is_open=False)
    assert follows(model, text, f"One < moment.\n<{calls}")
    assert not follows(model, text, f"{calls}\nDone.")


@pytest.mark.parametrize("name", FORMATS)
def test_answer_goes_on_inside_the_arguments_of_its_last_call(model: Model, name: str) -> None:
    form = FORMATS[name]
    odd = Spoken("look_up", '{ "from" :\t"another model" }')
    said = Delivered("", [odd, Spoken("look_up", '{"q":"Pa')])
    text, whole = grammar(form, DEMAND, said), form.spell([odd, Spoken("look_up", '{"q":"Paris"}')], is_open=False)
    assert whole.startswith(said.spell(form))
    assert follows(model, text, whole)
    grammar_behind(model, text, said.spell(form).encode()).close()
    with pytest.raises(DeliveredTextUnfit):
        grammar_behind(model, text, whole.replace("Paris", "\n").encode())


BARE = '{"name": "look_up", "arguments": {"q": "a"}}'
ILLEGAL = '{"name": "look_up", "arguments": []}'
PLAIN = [
    BARE,
    f"\n{BARE}\n",
    BARE.replace(": ", ":").replace(", ", ",").replace("arguments", "parameters"),
    '```json\n{\n  "name": "look_up",\n  "arguments": {\n    "q": "a"\n  }\n}\n```',
    f"```\n[{BARE}]\n```",
    f'[\n  {BARE},\n  {{"name": "now", "arguments": {{}}}}\n]',
    f'{BARE},\n{{"name": "now", "parameters": {{}}}}',
    f'{BARE}; {{"name": "now", "arguments": {{}}}}',
]


@pytest.mark.parametrize("name", ["hermes", "generic"])
@pytest.mark.parametrize("answer", PLAIN)
def test_calls_in_plain_json_are_whole_answers(model: Model, name: str, answer: str) -> None:
    assert follows(model, grammar(FORMATS[name], DEMAND), answer)
    assert not follows(model, grammar(FORMATS[name], FORCED), answer)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "answer",
    [
        '```json\n{"name": "look_up", "arguments": []}',
        '```json\n{"name": "now", "arguments": {"a": 1}}',
        '```json\n{"name": "now", "arguments": {}}\n```\nDone.',
        '```json\n{"name": "now", "arguments": {}},\n{"name": "other", "arguments": {}}',
        '```json\n{"name": "now", "arguments": {}, "more": 1}',
        '```json\n{"name": "now", "arguments": {}}\n{"name": "now", "arguments": {}}',
    ],
)
def test_what_has_become_a_call_in_plain_json_stays_a_legal_one(model: Model, name: str, answer: str) -> None:
    assert not follows(model, grammar(FORMATS[name], DEMAND), answer)


@pytest.mark.parametrize("name", ["hermes", "generic"])
@pytest.mark.parametrize(
    "answer",
    [
        '{"name": "John", "age": 3}',
        '{"name": "look_up_all", "arguments": []}',
        '{"name": "look_up", "about": "a function"}',
        '```json\n{"arguments": 1, "name": "now"}\n```\nDone.',
        '["name", {"name": "now"}]',
        '[{"name": "now" <b>, "arguments": 1',
    ],
)
def test_json_that_calls_nothing_is_a_whole_answer(model: Model, name: str, answer: str) -> None:
    assert follows(model, grammar(FORMATS[name], DEMAND), answer)
    assert follows(model, grammar(FORMATS[name], DEMAND), answer + FORMATS[name].spell(CALLS, is_open=False))


THINKING = [Foreword(("<think>", "</think>")), Foreword(("[THINK]", "[/THINK]"))]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("foreword", THINKING, ids=lambda foreword: foreword.marks[0])
def test_call_in_plain_json_behind_thoughts_is_a_legal_one(model: Model, name: str, foreword: Foreword) -> None:
    text, (opening, closing) = grammar(FORMATS[name], replace(DEMAND, foreword=foreword)), foreword.marks
    for thoughts in (f"{opening}\nHm [1] <b>, {BARE} [\n{closing}\n\n", f"Hm.\n{closing}", f"{opening}{closing}", ""):
        assert follows(model, text, f"{thoughts}```json\n{BARE}\n```")
        assert not follows(model, text, f"{thoughts}```json\n{ILLEGAL}\n```")
        assert follows(model, text, f"{thoughts}Words.")
        assert follows(model, text, f"{thoughts}{FORMATS[name].spell(CALLS, is_open=False)}")


@pytest.mark.parametrize("name", FORMATS)
def test_call_that_is_addressed_in_a_head_is_a_legal_one(model: Model, name: str) -> None:
    text = grammar(FORMATS[name], replace(DEMAND, foreword=Foreword(("<|final|>",), " to=functions.")))
    head = "<|analysis|>Hm.<|end|><|commentary|> to=functions."
    assert follows(model, text, head + 'look_up <|json|>{"q": "a"}')
    assert follows(model, text, "<|analysis|>Hm.<|final|>Words {}.")
    for call in ("other <|json|>{}", 'now <|json|>{"a": 1}', "look_up <|json|>[]"):
        assert not follows(model, text, head + call)


@pytest.mark.parametrize("name", ["hermes", "generic"])
def test_calls_in_plain_json_are_as_many_as_others(model: Model, name: str) -> None:
    text, single = grammar(FORMATS[name], DEMAND), grammar(FORMATS[name], SINGLE)
    call = '{"name": "now", "arguments": {}}'
    assert follows(model, text, ", ".join([call] * MOST_CALLS))
    assert not follows(model, text, ", ".join([call] * (MOST_CALLS + 1)))
    assert follows(model, single, f"[{call}]")
    assert not follows(model, single, f"[{call}, {call}]")
