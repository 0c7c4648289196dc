"""From the pieces of an answer to its words and its calls, as they come.

::

    WORDS ──marker──▶ OPENING ─▶ HEAD ─▶ NAME ─▶ MIDDLE ─▶ ARGUMENTS ─▶ TAIL ──between──▶ HEAD
                                                                         └────closing──▶ DONE

The grammar (`models.tools.grammar`) leaves one spelling, so behind the marker each state knows what comes; text that is
something else ends the calls, and is dropped: it can only come where a seam went wrong. Before all this
`models.tools.plain` has its say: whether the answer begins with a call in plain JSON.
"""

from collections.abc import Iterator
from enum import Enum, auto

from models.tools.extent import JsonExtent
from models.tools.format import ToolFormat
from models.tools.lead import Lead
from models.tools.marker import SPACE, settled
from models.tools.plain import PlainCalls
from models.tools.told import Arguments, CallBegun, Told, Words


class _State(Enum):
    WORDS = auto()
    OPENING = auto()
    HEAD = auto()
    NAME = auto()
    MIDDLE = auto()
    ARGUMENTS = auto()
    TAIL = auto()
    DONE = auto()


class CallParser:
    """One answer's parser. However the text is cut into pieces, the joined events are the same.

    Args:
        form: how the model spells calls.
        lead: how an answer begins that calls in plain JSON; None if it cannot.

    """

    def __init__(self, form: ToolFormat, lead: Lead | None = None) -> None:
        self._form = form
        self._plain = PlainCalls(lead) if lead else None
        self._state = _State.WORDS
        self._held = ""
        self._index = -1
        self._has_words = False
        self._known = 0
        self._json = JsonExtent()

    @property
    def has_calls(self) -> bool:
        """Whether a call has begun."""
        return self._index >= 0 or (self._plain is not None and self._plain.has_calls)

    def resume(self, delivered: str, *, has_calls: bool = True) -> None:
        """Take what the client has already, and tell nothing of it.

        Args:
            delivered: how the answer begins.
            has_calls: what it spells may be calls: the client has not got it as words.

        """
        self._has_words = not has_calls and bool(delivered.strip())
        told = sum(len(event.text) for event in self.feed(delivered) if isinstance(event, Words))
        if self._state is _State.WORDS:
            self._known = len(delivered) - told

    def feed(self, text: str) -> list[Told]:
        """Take more text; returns what it makes clear. Words that may still become a call are held back."""
        if self._plain is not None:
            told = self._plain.feed(text)
            if not self._plain.is_words:
                return [*told]
            text = self._plain.held
            self._plain = None
        self._held += text
        return list(self._events())

    def flush(self) -> list[Told]:
        """The answer ends here: words that were held back are words after all."""
        if self._plain is not None:
            return [] if self._plain.has_calls else list(self._words(self._plain.held))
        held, self._held = self._held, ""
        return list(self._words(held)) if self._state is _State.WORDS else []

    def _events(self) -> Iterator[Told]:
        """What can be told now. Each round takes something from what is held."""
        while self._held:
            before = self._state, len(self._held)
            yield from self._step()
            if before == (self._state, len(self._held)):
                return

    def _step(self) -> Iterator[Told]:
        match self._state:
            case _State.WORDS:
                yield from self._before_calls()
            case _State.NAME:
                yield from self._name()
            case _State.ARGUMENTS:
                yield from self._arguments()
            case _State.TAIL:
                self._behind_call()
            case _State.DONE:
                self._held = ""
            case _:
                self._fixed()

    def _before_calls(self) -> Iterator[Told]:
        words, found, rest = self._held.partition(self._form.marker)
        if found and not self._is_too_late(words):
            yield from self._words(words.rstrip(SPACE))
            self._held = found + rest
            self._state = _State.OPENING
            return
        settled = self._settled()
        words, self._held = self._held[:settled], self._held[settled:]
        yield from self._words(words)

    def _is_too_late(self, words: str) -> bool:
        """Whether these words are more than may stand before calls."""
        return self._form.is_leading and (self._has_words or bool(words.strip(SPACE)))

    def _settled(self) -> int:
        """How much of what is held leads to no call in any case: all but the marker's beginning and spaces before."""
        size = settled(self._held, self._form.marker)
        return len(self._held) if self._is_too_late(self._held[:size]) else size

    def _words(self, text: str) -> Iterator[Told]:
        self._has_words = self._has_words or bool(text)
        known = min(self._known, len(text))
        self._known -= known
        if text[known:]:
            yield Words(text[known:])

    def _fixed(self) -> None:
        """OPENING, HEAD or MIDDLE: a text that is known beforehand."""
        text, after = {
            _State.OPENING: (self._form.opening, _State.HEAD),
            _State.HEAD: (self._form.head, _State.NAME),
            _State.MIDDLE: (self._form.middle, _State.ARGUMENTS),
        }[self._state]
        self._take(text, after)

    def _take(self, text: str, after: _State) -> None:
        if self._held.startswith(text):
            self._held, self._state = self._held[len(text) :], after
        elif not text.startswith(self._held):
            self._state = _State.DONE

    def _name(self) -> Iterator[Told]:
        name, quote, _ = self._held.partition('"')
        if quote:
            self._held = self._held[len(name) :]
            self._index += 1
            self._json = JsonExtent()
            self._state = _State.MIDDLE
            yield CallBegun(self._index, name)

    def _arguments(self) -> Iterator[Told]:
        size = self._json.feed(self._held)
        text, self._held = self._held[:size], self._held[size:]
        if self._json.is_complete:
            self._state = _State.TAIL
        if text:
            yield Arguments(self._index, text)

    def _behind_call(self) -> None:
        ends = {
            self._form.tail + self._form.between: _State.HEAD,
            self._form.tail + self._form.closing: _State.DONE,
        }
        # The longer one first: one may be the beginning of the other.
        for text in sorted(ends, key=len, reverse=True):
            if text.startswith(self._held) and text != self._held:
                return
            if self._held.startswith(text):
                self._held, self._state = self._held[len(text) :], ends[text]
                return
        self._state = _State.DONE
