"""The grammar of words that end where a call begins."""

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from models.tools.rule import NOTHING, Rule, none_of, one_of


class Words:
    """Words that end where one of some markers does: a state knows what of a marker its last letters may be.

    Args:
        markers: each with the rule that follows it.

    """

    BEGINNING: ClassVar = "call-words-0"
    """The rule that they begin with."""

    def __init__(self, markers: Mapping[str, str]) -> None:
        self._markers = markers
        beginnings = [marker[:size] for marker in markers for size in range(len(marker))]
        self._states = {
            beginning: f"call-words-{state}" for state, beginning in enumerate(dict.fromkeys(["", *beginnings]))
        }
        self._letters = sorted(set("".join(markers)))

    def rules(self) -> Iterator[Rule]:
        """Make the rules of all states."""
        for begun, name in self._states.items():
            yield name, list(self.others(begun))

    def others(self, begun: str, but: Iterable[str] = ()) -> Iterator[list[str]]:
        """What words go on with.

        Args:
            begun: their last letters.
            but: letters that something else follows.

        """
        but = list(but)
        ways = {letter: self._behind(begun + letter) for letter in self._letters if letter not in but}
        known = [letter for letter in ways if ways[letter] != self.BEGINNING]
        for letter in known:
            yield [one_of(letter), ways[letter]]
        yield [none_of([*known, *but]), self.BEGINNING]
        yield [NOTHING]

    def _behind(self, text: str) -> str:
        """The longest end of a text that is a marker or the beginning of one leads on."""
        ends = [text[start:] for start in range(len(text) + 1)]
        return next(rule for end in ends if (rule := self._markers.get(end) or self._states.get(end)))
