"""The grammar of an answer that may, or has to, call tools: a call that could not be read is never drawn.

Where calls are free to come, the words before them are ruled too, by an automaton that follows the marker of the first
call letter by letter. It reads in one way, so a token costs llama.cpp one look (some 20 us), which is less than it
would cost to find out from outside where a grammar has to set in. Such a one also follows the beginning of an answer,
which may be a call in plain JSON: see `models.tools.lead`.
"""

from collections.abc import Iterator
from typing import Final

from models.schema.rulebook import literal
from models.tools.demand import Delivered, Demand
from models.tools.format import Spoken, ToolFormat
from models.tools.plain_grammar import BEGINNING, plain_rules
from models.tools.rule import Rule
from models.tools.words import Words

ROOT: Final = "call-answer"

MOST_CALLS: Final = 16
"""In one answer. A small model that has to call may find no end."""


def answer_rules(form: ToolFormat, demand: Demand, said: Delivered) -> Iterator[Rule]:
    """Make the rules of an answer from its very beginning, what is there of it included.

    What is there and complete is spelled out: another model may have written it in an order or with spaces that the
    rules for arguments do not let pass.

    Args:
        form: how the model spells calls.
        demand: what the request says of calls; it knows the function that was called last.
        said: what there is of the answer.

    Returns:
        The rules, all named `call-…`, of which `ROOT` is the answer. They refer to those that `demand` names.

    """
    yield ROOT, _answer(form, demand, said)
    yield from _calls(form, demand)
    if not said.calls and not demand.is_forced and demand.instead is None:
        words = Words(_markers(form, demand))
        yield from words.rules()
        yield from [] if demand.is_begun else _beginning(form, demand, words)


def _answer(form: ToolFormat, demand: Demand, said: Delivered) -> list[list[str]]:
    if said.calls:
        *complete, last = said.calls
        before = said.words + form.spell([*complete, Spoken(last.name, "")], is_open=True)
        return [[literal(before), demand.arguments[last.name], *_more(form, demand)]]
    if demand.is_forced:
        return [[literal(said.words), "call-first"]]
    if demand.instead is not None:
        return [["call-first"], [demand.instead]]
    return [[Words.BEGINNING if demand.is_begun else BEGINNING]]


def _calls(form: ToolFormat, demand: Demand) -> Iterator[Rule]:
    first, more = form.opening + form.head, _more(form, demand)
    yield "call-named", [[literal(name + form.middle), rule] for name, rule in demand.arguments.items()]
    yield "call-another", [[literal(form.tail + form.between + form.head), "call-named"]]
    yield "call-first", [[literal(first), "call-named", *more]]
    yield "call-marked", [[literal(first.removeprefix(form.marker)), "call-named", *more]]


def _more(form: ToolFormat, demand: Demand) -> list[str]:
    """What stands behind the arguments of a call."""
    others = [] if demand.is_single else [f"call-another{{0,{MOST_CALLS - 1}}}"]
    return [*others, literal(form.tail + form.closing)]


def _markers(form: ToolFormat, demand: Demand) -> dict[str, str]:
    """What words end with, and what follows it."""
    own = {} if form.is_leading else {form.marker: "call-marked"}
    if demand.is_begun:
        return own
    addressed = {demand.foreword.recipient: "call-addressed"} if demand.foreword.recipient else {}
    return own | addressed | dict.fromkeys(demand.foreword.marks, BEGINNING)


def _beginning(form: ToolFormat, demand: Demand, words: Words) -> Iterator[Rule]:
    """What words may begin with that is a call."""
    yield from plain_rules(form, demand.arguments, words, most=1 if demand.is_single else MOST_CALLS)
    if demand.foreword.recipient:
        yield "call-addressed", [[literal(name), r"[^{]{1,64}", rule] for name, rule in demand.arguments.items()]
