"""Models that think before they answer: their thoughts stand between `<think>` and `</think>`, at the beginning. Pure.

Clients get them apart, as `reasoning_content`: DeepSeek's name, which vLLM, SGLang and llama-server use too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

_OPENING: Final = "<think>"
_CLOSING: Final = "</think>"
_SPACE: Final = " \n\r\t"

CUT_SHORT: Final = f"\n{_CLOSING}\n\n"
"""Ends thoughts before they begin: where the prompt has opened them, and the answer leaves no room for any."""


class Thinking(Enum):
    """How a model thinks."""

    NEVER = auto()
    ITSELF = auto()
    """It may begin to, by itself."""
    OPENED = auto()
    """The prompt ends where the thoughts begin."""


def thinking_of(template: str | None, prompt: str) -> Thinking:
    """See how a model thinks from its chat template and a prompt made with it."""
    if prompt.rstrip().endswith(_OPENING):
        return Thinking.OPENED
    return Thinking.ITSELF if template and _OPENING in template else Thinking.NEVER


@dataclass(frozen=True, slots=True)
class Thought:
    """More of what a model thinks."""

    text: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """More of what it says."""

    text: str


class _State(Enum):
    BEFORE = auto()
    INSIDE = auto()
    BEHIND = auto()
    SAYING = auto()


class Thoughts:
    """Parts an answer's thoughts from its words. However it is cut into pieces, the joined parts are the same.

    Args:
        is_open: the thoughts have begun before the answer does.

    """

    def __init__(self, *, is_open: bool) -> None:
        self._state = _State.INSIDE if is_open else _State.BEFORE
        self._is_first = True
        self._held = ""

    @property
    def is_thinking(self) -> bool:
        """Whether the text ends in thoughts, or in what parts them from the words."""
        return self._state in {_State.INSIDE, _State.BEHIND}

    def feed(self, text: str) -> list[Thought | Spoken]:
        """Take more text; returns what it makes clear."""
        self._held += text
        return list(self._parts())

    def flush(self) -> list[Thought | Spoken]:
        """The answer ends here: what was held back is what it looks like."""
        held, self._held = self._held, ""
        if not held or self._state is _State.BEHIND:
            return []
        return [Thought(held) if self._state is _State.INSIDE else Spoken(held)]

    def _parts(self) -> Iterator[Thought | Spoken]:
        if self._state is _State.BEFORE:
            self._begin()
        if self._state is _State.INSIDE:
            yield from self._inside()
        if self._state is _State.BEHIND:
            self._held = self._held.lstrip(_SPACE)
            self._state = _State.SAYING if self._held else _State.BEHIND
        if self._state is _State.SAYING and self._held:
            held, self._held = self._held, ""
            yield Spoken(held)

    def _begin(self) -> None:
        held = self._held.lstrip(_SPACE)
        if held.startswith(_OPENING):
            self._held, self._state = held.removeprefix(_OPENING), _State.INSIDE
        elif not _OPENING.startswith(held):
            self._state = _State.SAYING

    def _inside(self) -> Iterator[Thought | Spoken]:
        if self._is_first:
            self._held = self._held.lstrip(_SPACE)
        thought, closing, rest = self._held.partition(_CLOSING)
        if closing:
            self._held, self._state = rest, _State.BEHIND
            thought = thought.rstrip(_SPACE)
        else:
            settled = _settled(thought)
            thought, self._held = thought[:settled], thought[settled:]
        if thought:
            self._is_first = False
            yield Thought(thought)


def _settled(thought: str) -> int:
    """How much of a text is no beginning of the end: neither a part of the closing nor spaces before it."""
    sizes = range(min(len(thought), len(_CLOSING) - 1), 0, -1)
    begun = next((size for size in sizes if thought.endswith(_CLOSING[:size])), 0)
    return len(thought[: len(thought) - begun].rstrip(_SPACE))
