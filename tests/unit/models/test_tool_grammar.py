import re
from dataclasses import replace

import pytest

from models.tools.demand import Delivered, Demand, Foreword, foregone
from models.tools.format import FORMATS, Spoken
from models.tools.grammar import MOST_CALLS, ROOT, answer_rules

DEMAND = Demand({"f": "object", "g": "object"})
THOUGHTS = Foreword(("[THINK]", "[/THINK]", "<think>"), "to=")
LETTER = re.compile(r"\\x[0-9a-f]{2}|\w")


def rules(name: str, demand: Demand = DEMAND, said: Delivered | None = None) -> dict[str, list[list[str]]]:
    return dict(answer_rules(FORMATS[name], demand, said or Delivered()))


@pytest.mark.parametrize("name", FORMATS)
def test_every_rule_that_is_named_is_there(name: str) -> None:
    made = rules(name)
    parts = {part for ways in made.values() for way in ways for part in way}
    named = {part.partition("{")[0] for part in parts if part.startswith("call-")}
    assert named <= made.keys()


def test_single_call_is_followed_by_nothing() -> None:
    (single,) = rules("hermes", Demand({"f": "object"}, is_single=True))["call-first"]
    (several,) = rules("hermes", Demand({"f": "object"}))["call-first"]
    assert [part for part in several if part not in single] == [f"call-another{{0,{MOST_CALLS - 1}}}"]


def test_forced_answer_begins_with_a_call() -> None:
    made = rules("hermes", Demand({"f": "object"}, is_forced=True))
    assert made[ROOT] == [['""', "call-first"]]
    assert "call-words-0" not in made


@pytest.mark.parametrize("name", FORMATS)
def test_answer_that_has_begun_can_become_no_call_in_plain_json(name: str) -> None:
    begun = rules(name, Demand({"f": "object"}, is_begun=True))
    assert (begun[ROOT], rules(name)[ROOT]) == ([["call-words-0"]], [["call-lead-0"]])
    assert "call-lead-0" not in begun


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("foreword", [Foreword(), THOUGHTS])
def test_words_and_their_beginning_are_read_in_one_way(name: str, foreword: Foreword) -> None:
    """But for its end each alternative is a letter of its own, or the only one."""
    made = rules(name, replace(DEMAND, foreword=foreword))
    for rule in (rule for rule in made if rule.startswith(("call-lead-", "call-words-")) and len(made[rule]) > 1):
        letters = [way[0] for way in made[rule] if way != ['""']]
        known = [letter for text in letters if not text.startswith("[^") for letter in LETTER.findall(text)]
        (others,) = [LETTER.findall(text) for text in letters if text.startswith("[^")]
        assert sorted(known) == sorted(set(others) - {r"\x00"})
        assert len(known) == len(set(known))


def test_delivered_calls_are_spelled_out_but_for_the_arguments_of_the_last() -> None:
    said = Delivered("Hm.", [Spoken("f", '{ "odd" :1}'), Spoken("g", '{"a')])
    ((before, arguments, _, end),) = rules("generic", said=said)[ROOT]
    assert before.startswith('"Hm.<tool_call>')
    assert r"{ \"odd\" :1}" in before
    assert before.endswith(r'\"g\", \"arguments\": "')
    assert arguments == "object"
    assert end.endswith('</tool_call>"')


def test_answer_without_calls_takes_the_form_that_was_asked_for() -> None:
    made = rules("llama3", Demand({"f": "object"}, instead="answer"))
    assert made[ROOT] == [["call-first"], ["answer"]]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["f"], '<tool_call>\n{"name": "f", "arguments": '),
        (["f", "g"], '<tool_call>\n{"name": "'),
    ],
)
def test_what_is_foregone_goes_as_far_as_there_is_no_choice(names: list[str], expected: str) -> None:
    assert foregone(FORMATS["hermes"], names) == expected
