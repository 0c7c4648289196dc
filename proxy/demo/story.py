"""What is asked, what the pretend cloud gets to say, and what can be told of the answer afterwards. Pure."""

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

CLOUD_MODEL: Final = "pretend-cloud-model"
"""What the application asks for, and what the cloud signs its chunks with."""

_QUESTION: Final = "Why does a hospital have a backup generator?"
_BEGINNING: Final = "Hospitals have backup generators because the power can fail at any time, and"
"""The smallest of local models has something sensible to say behind this."""
_ANY_BEGINNING: Final = "That is a good question. In short,"
_SECOND_QUESTION: Final = "What does a backup generator do?"

_WORD_SECONDS: Final = 0.13
"""As fast as one reads."""
_READING_SECONDS: Final = 1.5
_FAST_WORD_SECONDS: Final = 0.01


@dataclass(frozen=True, slots=True)
class Story:
    """Two questions, and an outage in the first answer. Times in seconds."""

    question: str
    beginning: str
    """What the cloud says before it dies."""
    second_question: str
    word_seconds: float
    """Between two words of the cloud."""
    reading_seconds: float
    """Between two parts of the page."""

    @property
    def words(self) -> tuple[str, ...]:
        """The beginning as it is streamed: each word with the white space before it."""
        return tuple(re.findall(r"\s*\S+", self.beginning))


def story(question: str | None, *, is_fast: bool) -> Story:
    """The usual one, or about the visitor's own question; `is_fast` is for who need not read along."""
    return Story(
        question=question or _QUESTION,
        beginning=_ANY_BEGINNING if question else _BEGINNING,
        second_question=_SECOND_QUESTION,
        word_seconds=_FAST_WORD_SECONDS if is_fast else _WORD_SECONDS,
        reading_seconds=0.0 if is_fast else _READING_SECONDS,
    )


@dataclass(frozen=True, slots=True)
class Piece:
    """One chunk with text, as the application got it."""

    at: float
    """Seconds since the question."""
    text: str
    model: str
    """Who wrote it."""

    @property
    def is_clouds(self) -> bool:
        """Whether the cloud wrote it."""
        return self.model == CLOUD_MODEL


@dataclass(slots=True)
class Answer:
    """An answer as it grows."""

    asked_at: float
    """On the clock's monotonic scale, in seconds."""
    headers: dict[str, str] = field(default_factory=dict)
    """Those that the proxy adds, in small letters."""
    pieces: list[Piece] = field(default_factory=list)
    finish_reason: str = ""
    is_done: bool = False
    """Whether `[DONE]` came."""
    error: str = ""
    """What the application would have had to deal with; empty if nothing."""
    seconds: float = 0.0
    """From the question to its end."""

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(piece.text for piece in self.pieces)

    @property
    def has_finished(self) -> bool:
        """Whether it ended as an answer should."""
        return bool(self.finish_reason) and self.is_done


@dataclass(frozen=True, slots=True)
class Times:
    """What the application noticed of the outage, in seconds since the question; None where nothing came."""

    first_word: float | None
    plug_pulled: float | None
    first_local_word: float | None
    longest_silence: float
    """Between two pieces."""
    whole: float


def times(answer: Answer, plug_pulled: float | None) -> Times:
    """Of an answer in which the plug was pulled then."""
    return Times(
        first_word=next((piece.at for piece in answer.pieces), None),
        plug_pulled=plug_pulled,
        first_local_word=next((piece.at for piece in answer.pieces if not piece.is_clouds), None),
        longest_silence=max((after.at - before.at for before, after in pairwise(answer.pieces)), default=0.0),
        whole=answer.seconds,
    )


def shortcoming(answer: Answer, beginning: str) -> str:
    """Why the answer is not whole: the cloud's words as they were said, the local model's behind them, and an end.
    Empty if it is.
    """
    if answer.error:
        return f"the application got an error: {answer.error}"
    if not answer.text.startswith(beginning):
        return "the cloud's words did not arrive as they were said"
    if all(piece.is_clouds for piece in answer.pieces):
        return "the local model said nothing"
    return "" if answer.has_finished else "it ended without saying that it had"
