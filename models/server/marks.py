"""How a model thinks, as far as its chat template tells: whether, and between which marks. Pure.

Marks are the one thing that has to be known beforehand: a template prints them around thoughts of the past, if at all,
and says nothing of those to come. So they are looked up in a table, by what stands in the template's source or at the
end of a prompt. A model whose marks are not in the table tells its thoughts as words.
"""

from dataclasses import dataclass
from typing import Final

from models.server.channels import FINAL, MARKS_TEXT, SIGN, Channels
from models.server.thinking import THINK, Marks, ThoughtReader, Thoughts

PAIRS: Final = (
    THINK,
    Marks("[THINK]", "[/THINK]", "[/THINK]"),  # Magistral, Ministral
    Marks("<seed:think>", "</seed:think>", "</seed:think>"),  # Seed-OSS
    Marks("<mm:think>", "</mm:think>", "</mm:think>"),  # MiniMax M3
    Marks("<|channel>thought", "<channel|>", "<channel|>"),  # Gemma 4
    Marks("<|START_THINKING|>", "<|END_THINKING|>", "<|END_THINKING|>"),  # Command
)
"""Of two in one template the first counts."""


@dataclass(frozen=True, slots=True)
class Thinking:
    """How a model thinks.

    Attributes:
        marks: what its thoughts stand between; None if it has none, or speaks in channels.
        is_opened: the prompt ends where the thoughts begin.
        has_channels: it speaks in those of `models.server.channels`.

    """

    marks: Marks | None = None
    is_opened: bool = False
    has_channels: bool = False

    @property
    def is_possible(self) -> bool:
        """Whether it does at all."""
        return self.has_channels or self.marks is not None

    @property
    def marks_text(self) -> str:
        """The marks, one behind the other: control tokens among them have to be told like text, or nobody sees them."""
        if self.has_channels:
            return MARKS_TEXT
        return self.marks.opening + self.marks.closing if self.marks else ""

    @property
    def cut(self) -> str:
        """What stands before an answer that has no room for thoughts; "" if it needs nothing."""
        if self.has_channels:
            return FINAL
        return self.marks.cut if self.marks and self.is_opened else ""

    def reader(self) -> ThoughtReader | None:
        """What parts the thoughts of one answer from its words; None if there can be none."""
        if self.has_channels:
            return Channels()
        return Thoughts(self.marks, is_open=self.is_opened) if self.marks else None


NEVER: Final = Thinking()


def thinking_of(template: str | None, prompt: str) -> Thinking:
    """See how a model thinks from its chat template and a prompt made with it."""
    source, ending = template or "", prompt.rstrip()
    if SIGN in source:
        return Thinking(has_channels=True)
    opened = next((marks for marks in PAIRS if ending.endswith(marks.opening)), None)
    named = next((marks for marks in PAIRS if marks.opening in source), None)
    return Thinking(opened or named, is_opened=opened is not None)
