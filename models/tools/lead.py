"""How an answer begins that calls functions in plain JSON, and not as the model's family spells calls.

Small models leave out what their template shows them. They write the call alone, in a fence or in an array, in any
spacing; other servers take that for a call (llama-server does), so their clients know no better::

    {"name": "look_up", "arguments": {"q": …}}      ```json …```      [{"name": …, "parameters": …}, …]

The beginning is an automaton that reads letter by letter what may still become such a call. Grammar and reader follow
the same one. Where an answer leaves it there were only words, and nothing of them is lost. Where an offered function's
name is followed by the first letters of the right key it is a call: the grammar lets only a legal one follow.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from models.tools.format import ToolFormat
from models.tools.marker import SPACE

KEYS: Final = ("arguments", "parameters")

_SETTLED: Final = 2
"""Letters of the key that settle it: with whole keys the automaton would have twenty states more for each function. So
`args`, as some models have it, becomes `arguments`.
"""

_MOST_STATES: Final = 2_000
"""Each is a rule of the grammar, of some 90 bytes, that llama.cpp reads for every answer: 5 ms for so many, which 80
functions come to. Where there are more, calls are only read as the model's family spells them.
"""


@dataclass(frozen=True, slots=True)
class Lead:
    """The automaton. It begins in state 0; what comes unexpected in a state makes words of all there is.

    Attributes:
        steps: of each state, by letter.
        called: states in which it is clear that a function is called: its name, and what of the key is to come.
        element: the state behind the brace that opens a call.
        arguments: the state behind the brace that opens arguments.
        native: where only names can follow, because the model's family spells calls so; None if it has a mark for them.

    """

    steps: Sequence[Mapping[str, int]]
    called: Mapping[int, tuple[str, str]]
    element: int
    arguments: int
    native: int | None


def lead_of(form: ToolFormat, names: Iterable[str]) -> Lead:
    """Make the automaton.

    Args:
        form: how the model's family spells calls.
        names: what may be called.

    """
    lead = _lead_of(form, names)
    return lead if len(lead.steps) <= _MOST_STATES else _lead_of(form, [])


def _lead_of(form: ToolFormat, names: Iterable[str]) -> Lead:
    made = _Steps()
    element, array = made.state(), made.state()
    name = made.member(element)
    tails, arguments = made.keys()
    for one in names:
        made.called_as(name, one, tails)
    made.opened([array], element)
    fence = made.spelled(0, "```")
    made.opened([0, fence, made.spelled(fence, "json")], element, array)
    native = made.native(form, name) if form.is_leading else None
    return Lead(made.steps, made.called, element, arguments, native)


class _Steps:
    """An automaton that grows. Every state that a method returns lets spaces pass, but for those inside of strings."""

    def __init__(self) -> None:
        self.steps: list[dict[str, int]] = []
        self.called: dict[int, tuple[str, str]] = {}
        self.state()

    def state(self, *, is_spaced: bool = True) -> int:
        self.steps.append(dict.fromkeys(SPACE, len(self.steps)) if is_spaced else {})
        return len(self.steps) - 1

    def spelled(self, state: int, text: str, *, is_spaced: bool = True) -> int:
        """The state behind a text."""
        for place, letter in enumerate(text, 1):
            if letter not in self.steps[state]:
                self.steps[state][letter] = self.state(is_spaced=is_spaced and place == len(text))
            state = self.steps[state][letter]
        return state

    def opened(self, states: Iterable[int], element: int, array: int | None = None) -> None:
        """Let a call, or an array of them, begin in each of these states."""
        for state in states:
            self.steps[state] |= {"{": element} | ({} if array is None else {"[": array})

    def member(self, element: int) -> int:
        """The state where the name begins."""
        return self.spelled(self.spelled(self.spelled(element, '"name"'), ":"), '"', is_spaced=False)

    def keys(self) -> tuple[Mapping[str, int], int]:
        """For each key the state behind the letter that settles it and one more; and the state behind the brace."""
        value, tails = self.state(), {}
        for key in KEYS:
            tails[key] = self.state(is_spaced=False)
            self.steps[self.spelled(tails[key], key[_SETTLED + 1 :] + '"')][":"] = value
        return tails, self.spelled(value, "{", is_spaced=False)

    def called_as(self, state: int, name: str, tails: Mapping[str, int]) -> None:
        """Let this name be called."""
        behind = self.spelled(self.spelled(state, name + '"'), ",")
        for key, tail in tails.items():
            settled = self.spelled(behind, '"' + key[:_SETTLED], is_spaced=False)
            self.steps[settled][key[_SETTLED]] = tail
            self.called[settled] = name, key[_SETTLED:]

    def native(self, form: ToolFormat, name: int) -> int:
        """A way of its own for the beginning that calls have in the model's family."""
        element = self.state()
        if form.opening:
            array = self.state()
            self.opened([array], element)
            self.steps[0][form.opening] = array
        else:
            self.opened([0], element)
        native = self.member(element)
        self.steps[native] = self.steps[name]
        return native
