"""Reads calls in plain JSON at the beginning of an answer.

::

    LEAD ──an offered function's arguments──▶ ARGUMENTS ─▶ BEHIND ──brace──▶ LEAD
      └─────────────anything else──────────▶ WORDS           └──else──▶ DONE
"""

from collections.abc import Iterator
from enum import Enum, auto
from typing import Final

from models.tools.extent import JsonExtent
from models.tools.lead import Lead
from models.tools.marker import SPACE
from models.tools.told import Arguments, CallBegun

_BETWEEN: Final = frozenset(SPACE + "},;")


class _State(Enum):
    LEAD = auto()
    ARGUMENTS = auto()
    BEHIND = auto()
    WORDS = auto()
    DONE = auto()


class PlainCalls:
    """One answer's reader. However the text is cut into pieces, the joined events are the same.

    Args:
        lead: how such an answer begins.

    Attributes:
        held: text that is not clear yet; where the answer is words, all of it.

    """

    def __init__(self, lead: Lead) -> None:
        self.held = ""
        self._lead = lead
        self._state = _State.LEAD
        self._place = 0
        self._read = 0
        self._name = ""
        self._index = -1
        self._json = JsonExtent()

    @property
    def has_calls(self) -> bool:
        """Whether a call has begun."""
        return self._index >= 0

    @property
    def is_words(self) -> bool:
        """Whether the answer turned out to call nothing."""
        return self._state is _State.WORDS

    def feed(self, text: str) -> list[CallBegun | Arguments]:
        """Take more text; returns what it makes clear. Nothing is taken where the answer turns out to be words."""
        self.held += text
        return list(self._events())

    def _events(self) -> Iterator[CallBegun | Arguments]:
        while self._read < len(self.held):
            match self._state:
                case _State.LEAD:
                    yield from self._step(self.held[self._read])
                case _State.ARGUMENTS:
                    yield self._arguments()
                case _State.BEHIND:
                    self._behind(self.held[self._read])
                case _State.DONE:
                    self._drop(len(self.held))
                case _State.WORDS:
                    return

    def _step(self, letter: str) -> Iterator[CallBegun]:
        place = self._lead.steps[self._place].get(letter)
        if place is None:
            # Behind a call the grammar lets nothing follow but calls: only a seam that went wrong leads here.
            self._state = _State.DONE if self.has_calls else _State.WORDS
        elif place == self._lead.arguments:
            self._drop(self._read)
            self._index += 1
            self._json = JsonExtent()
            self._state = _State.ARGUMENTS
            yield CallBegun(self._index, self._name)
        else:
            self._place = place
            self._name = self._lead.called.get(place, (self._name, ""))[0]
            self._read += 1

    def _arguments(self) -> Arguments:
        text = self.held[: self._json.feed(self.held)]
        self._drop(len(text))
        if self._json.is_complete:
            self._state = _State.BEHIND
        return Arguments(self._index, text)

    def _behind(self, letter: str) -> None:
        self._drop(1)
        if letter == "{":
            self._place, self._state = self._lead.element, _State.LEAD
        elif letter not in _BETWEEN:
            self._state = _State.DONE

    def _drop(self, size: int) -> None:
        self.held, self._read = self.held[size:], 0
