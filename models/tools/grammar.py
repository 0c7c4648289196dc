"""The grammar of an answer that may, or has to, call tools: a call that could not be read is never drawn.

Where calls are free to come, the words before them are ruled too, by an automaton that follows the marker of the first
call letter by letter. It reads in one way, so a token costs llama.cpp one look (some 20 us), which is less than it
would cost to find out from outside where a grammar has to set in.
"""

from collections.abc import Iterator
from typing import Final, TypeAlias

from models.schema.rulebook import literal
from models.tools.demand import Delivered, Demand
from models.tools.format import Spoken, ToolFormat

Rule: TypeAlias = tuple[str, list[list[str]]]
"""A name, and the alternatives that it stands for: each of them terminals and names, see `models.schema.rulebook`."""

ROOT: Final = "call-answer"

MOST_CALLS: Final = 16
"""In one answer. A small model that has to call may find no end."""

_SPACE: Final = r"\x20\n\r\t"
_NOTHING: Final = literal("")


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
        yield from _words_at_first(form.marker) if form.is_leading else _words_up_to(form.marker)


def _answer(form: ToolFormat, demand: Demand, said: Delivered) -> list[list[str]]:
    if said.calls:
        *complete, last = said.calls
        before = said.words + form.spell([*complete, Spoken(last.name, "")], is_open=True)
        return [[literal(before), demand.arguments[last.name], *_more(form, demand)]]
    if demand.is_forced:
        return [[literal(said.words), "call-first"]]
    return [["call-words-0"]] if demand.instead is None else [["call-first"], [demand.instead]]


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


def _words_up_to(marker: str) -> Iterator[Rule]:
    """Words that end where the marker does: in state i the last i letters are the beginning of it."""
    letters = sorted(set(marker))
    for state in range(len(marker)):
        reached = {letter: _overlap(marker[:state] + letter, marker) for letter in letters}
        known = [letter for letter in letters if reached[letter]]
        ways = [[f"[{_escaped(letter)}]", _state(reached[letter], marker)] for letter in known]
        others = "".join(map(_escaped, known))
        yield f"call-words-{state}", [*ways, [f"[^{others}]", "call-words-0"], [_NOTHING]]


def _words_at_first(marker: str) -> Iterator[Rule]:
    """Words that are calls if they begin with the marker, but for spaces: state i is behind i letters of it."""
    for state, letter in enumerate(marker):
        this, space = _escaped(letter), "" if state else _SPACE
        before = [[f"[{space}]", "call-words-0"]] if space else []
        yield (
            f"call-words-{state}",
            [[f"[{this}]", _state(state + 1, marker)], *before, [f"[^{this}{space}]", "call-any"], [_NOTHING]],
        )
    yield "call-any", [[r"[^\x00]*"]]


def _state(reached: int, marker: str) -> str:
    return "call-marked" if reached == len(marker) else f"call-words-{reached}"


def _overlap(text: str, marker: str) -> int:
    """How many letters at the end of a text are the beginning of the marker."""
    sizes = range(min(len(text), len(marker)), 0, -1)
    return next((size for size in sizes if text.endswith(marker[:size])), 0)


def _escaped(character: str) -> str:
    return f"\\x{ord(character):02x}"
