"""What a sequence tells whoever submitted it.

Every sequence gets at most one `Started`, then any number of `Piece`, and exactly one end: `Ended` or `Failed`.
A sequence that is turned away gets `Failed` alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from models.errors import ModelsError


class Finish(StrEnum):
    """Why a sequence ended; the first two are OpenAI's words."""

    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Started:
    """The sequence has left the queue; its prompt is being processed."""


@dataclass(frozen=True, slots=True)
class Piece:
    """More of the answer: whole characters, never empty, never part of a stop string."""

    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The answer is complete, or was cancelled."""

    finish: Finish
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Failed:
    """There will be no (more of the) answer."""

    error: ModelsError


Event: TypeAlias = Started | Piece | Ended | Failed

Sink: TypeAlias = Callable[[Event], None]

Delivery: TypeAlias = list[tuple[Sink, Event]]
"""Events with their addresses, in order."""


def hand_out(posts: Delivery) -> None:
    """Give each event to its sink."""
    for sink, event in posts:
        sink(event)
