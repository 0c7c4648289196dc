"""Thoughts that stand at the beginning of an answer, between two marks such as `<think>` and `</think>`. Pure.

Clients get them apart, as `reasoning_content`: DeepSeek's name, which vLLM, SGLang and llama-server use too. Which
marks a model has is the matter of `models.server.marks`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

from models.tools.marker import SPACE, settled


@dataclass(frozen=True, slots=True)
class Marks:
    """What thoughts stand between.

    Attributes:
        opening: is where they begin.
        closing: is where they end.
        cut: ends thoughts before they begin: where the prompt has opened them, and the answer leaves no room for any.

    """

    opening: str
    closing: str
    cut: str


THINK: Final = Marks("<think>", "</think>", "\n</think>\n\n")
"""DeepSeek's, Qwen's, and those of most who came later."""


@dataclass(frozen=True, slots=True)
class Thought:
    """More of what a model thinks."""

    text: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """More of what it says."""

    text: str


class ThoughtReader(Protocol):
    """Parts an answer's thoughts from its words. However it is cut into pieces, the joined parts are the same."""

    @property
    def is_thinking(self) -> bool:
        """Whether the text ends in thoughts, or in what parts them from the words."""

    @property
    def unclosed(self) -> str:
        """All that was thought, if nothing but thoughts has come, and they have no end; else ""."""

    def feed(self, text: str) -> list[Thought | Spoken]:
        """Take more text; returns what it makes clear."""

    def flush(self) -> list[Thought | Spoken]:
        """The answer ends here: what was held back is what it looks like."""


class _State(Enum):
    BEFORE = auto()
    INSIDE = auto()
    BEHIND = auto()
    SAYING = auto()


class Thoughts:
    """A `ThoughtReader` for thoughts between marks.

    Args:
        marks: of the model.
        is_open: the thoughts have begun before the answer does.

    """

    def __init__(self, marks: Marks = THINK, *, is_open: bool) -> None:
        self._marks = marks
        self._state = _State.INSIDE if is_open else _State.BEFORE
        self._thought = ""
        self._held = ""

    @property
    def is_thinking(self) -> bool:
        """Whether the text ends in thoughts, or in what parts them from the words."""
        return self._state in {_State.INSIDE, _State.BEHIND}

    @property
    def unclosed(self) -> str:
        """All that was thought, if the thoughts have no end; else ""."""
        return self._thought + self._held if self._state is _State.INSIDE else ""

    def feed(self, text: str) -> list[Thought | Spoken]:
        """Take more text; returns what it makes clear."""
        self._held += text
        return list(self._parts())

    def flush(self) -> list[Thought | Spoken]:
        """The answer ends here: what was held back is what it looks like."""
        held, self._held = self._held, ""
        if not held or self._state is _State.BEHIND:
            return []
        return [self._thinks(held) if self._state is _State.INSIDE else Spoken(held)]

    def _parts(self) -> Iterator[Thought | Spoken]:
        if self._state is _State.BEFORE:
            self._begin()
        if self._state is _State.INSIDE:
            yield from self._inside()
        if self._state is _State.BEHIND:
            self._held = self._held.lstrip(SPACE)
            self._state = _State.SAYING if self._held else _State.BEHIND
        if self._state is _State.SAYING and self._held:
            held, self._held = self._held, ""
            yield Spoken(held)

    def _begin(self) -> None:
        held, opening = self._held.lstrip(SPACE), self._marks.opening
        if held.startswith(opening):
            self._held, self._state = held.removeprefix(opening), _State.INSIDE
        elif not opening.startswith(held):
            self._state = _State.SAYING

    def _inside(self) -> Iterator[Thought | Spoken]:
        if not self._thought:
            self._held = self._held.lstrip(SPACE)
        thought, closing, rest = self._held.partition(self._marks.closing)
        if closing:
            self._held, self._state = rest, _State.BEHIND
            thought = thought.rstrip(SPACE)
        else:
            size = settled(thought, self._marks.closing)
            thought, self._held = thought[:size], thought[size:]
        if thought:
            yield self._thinks(thought)

    def _thinks(self, text: str) -> Thought:
        self._thought += text
        return Thought(text)
