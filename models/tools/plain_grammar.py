"""The grammar of an answer that may begin with calls in plain JSON: see `models.tools.lead`.

It lets everything pass until the beginning can only be a call's, and from there on nothing but legal calls.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from models.schema.rulebook import literal
from models.tools.format import ToolFormat
from models.tools.lead import KEYS, lead_of
from models.tools.marker import SPACE
from models.tools.rule import NOTHING, Rule, one_of
from models.tools.words import Words

BEGINNING: Final = "call-lead-0"
"""The rule that it begins with."""

_SHUT: Final = [[literal("```")], [NOTHING]]


def plain_rules(form: ToolFormat, arguments: Mapping[str, str], words: Words, *, most: int) -> Iterator[Rule]:
    """Make the rules of an answer that may begin with a call, and else goes on with words.

    Args:
        form: how the model's family spells calls.
        arguments: for each function that may be called the rule that its arguments follow.
        words: that it may be.
        most: calls in one answer.

    Returns:
        The rules, all named `call-…`. They refer to `call-marked`, behind what begins a call in the family's spelling.

    """
    lead = lead_of(form, arguments)
    last = {to: letter for step in lead.steps for letter, to in step.items() if letter not in SPACE}
    for state, step in enumerate(lead.steps):
        if state == lead.native:
            yield _lead(state), [["call-marked"]]
        elif state in lead.called:
            name, rest = lead.called[state]
            yield _lead(state), [[literal(f'{rest}":'), "sp", arguments[name], *_called(1)]]
        else:
            yield _lead(state), [*_ways(step), *words.others(last.get(state, ""), step)]
    yield from _another(arguments)
    yield from _behind(most)


def _ways(step: Mapping[str, int]) -> Iterator[list[str]]:
    """The letters that lead on in the beginning."""
    for reached in dict.fromkeys(step.values()):
        yield [one_of(letter for letter, to in step.items() if to == reached), _lead(reached)]


def _another(arguments: Mapping[str, str]) -> Iterator[Rule]:
    """A call behind the first one, up to its arguments' end."""
    yield "call-plain", [[literal("{"), "ws", literal('"name":'), "sp", literal('"'), "call-plain-named"]]
    yield (
        "call-plain-named",
        [[literal(f'{name}",'), "ws", literal('"'), "call-plain-key", "sp", rule] for name, rule in arguments.items()],
    )
    yield "call-plain-key", [[literal(f'{key}":')] for key in KEYS]


def _behind(most: int) -> Iterator[Rule]:
    """What follows a call: another one, or the end of the array and of the fence.

    Another one has to be announced by a comma. Without it, small models call the same function over and over again.
    """
    end = [[literal("]"), "call-plain-shut"], *_SHUT]
    yield "call-plain-end", end
    yield "call-plain-fenced", _SHUT
    yield "call-plain-shut", [*_spaced("call-plain-fenced"), *_SHUT]
    for count in range(1, most + 1):
        another = [["[,;]", "ws", "call-plain", *_called(count + 1)]] if count < most else []
        yield f"call-plain-{count}", [*another, *_spaced("call-plain-end"), *end]


def _called(count: int) -> list[str]:
    """What stands behind the arguments of a call, counted from 1."""
    return ["ws", literal("}"), f"call-plain-{count}"]


def _spaced(rule: str) -> list[list[str]]:
    """What stands behind a little room: as little as JSON has, for models that are fond of it."""
    return [[literal(" "), rule], [literal("\n"), "indent{0,40}", rule]]


def _lead(state: int) -> str:
    return f"call-lead-{state}"
