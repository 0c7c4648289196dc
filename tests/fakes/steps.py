"""What an upstream does with one request, as data: a play of steps that another file performs on a connection."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from tests.fakes.answers import ToolCall
from tests.fakes.http import Headers, Request
from tests.fakes.spoken import Answer, Habit

DEFAULT_WORDS = ("Hello", " from", " the", " fake", " upstream", ".")


@dataclass(kw_only=True, eq=False)
class Settings:
    """What a test may set, before or between requests.

    `pieces_before_fault` is how many pieces of content a broken stream delivers first. `answers`, one for each choice,
    stand in place of `words` in chat streams; they are delivered by the character.
    """

    words: tuple[str, ...] = DEFAULT_WORDS
    tool_call: ToolCall | None = None
    answers: tuple[Answer, ...] = ()
    habit: Habit = Habit.NONE
    gap_seconds: float = 0.0
    delay_seconds: float = 0.5
    token_gap_seconds: float = 1.0
    retry_after: str = "1"
    pieces_before_fault: int = 2
    dimensions: int = 4


@dataclass(frozen=True, slots=True)
class Call:
    """One request to be answered; `number` counts the upstream's requests from 1."""

    request: Request
    number: int
    settings: Settings


@dataclass(frozen=True, slots=True)
class Head:
    """Send status and headers."""

    status: int
    headers: Headers


@dataclass(frozen=True, slots=True)
class Body:
    """Send a part of the body, as a chunk of its own if the head said chunked."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Raw:
    """Send bytes as they are."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Pause:
    """Send nothing for a while."""

    seconds: float


class Ending(Enum):
    """How a play ends that does not end well; a play without one ends with a whole answer."""

    CLOSE = auto()
    RESET = auto()
    HANG = auto()


Step: TypeAlias = Head | Body | Raw | Pause | Ending
Play: TypeAlias = Iterator[Step]
