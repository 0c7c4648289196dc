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
class TokenScore:
    """How likely a token of the answer was.

    Probabilities are the model's own, before penalties, biases, grammar, cuts and temperature, as llama-server's are
    and OpenAI's since 2024. So a token that was forced may be an unlikely one.

    Attributes:
        piece: what the token adds to the answer; may be a part of a character. At a seam only what is new of it.
        logprob: natural logarithm of its probability; -9999 or more, never NaN.
        top: the likeliest tokens in its place, the likeliest first: bytes and logarithm. Control tokens are spelled.

    """

    piece: bytes
    logprob: float
    top: tuple[tuple[bytes, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """More of the answer: whole characters, never empty, never part of a stop string.

    Attributes:
        text: that is new.
        tokens: those that are told completely now, where they were asked for: of all pieces of an answer together they
            spell its text, but for a token that a stop string or the end cut in two.
        drawn: how many tokens of the answer there are by now, those included that this text needed.

    """

    text: str
    tokens: tuple[TokenScore, ...] = ()
    drawn: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """The answer is complete, or was cancelled.

    Attributes:
        finish: why.
        completion_tokens: generated.
        cached_tokens: of the prompt, that need not be read because somebody else had.

    """

    finish: Finish
    completion_tokens: int
    cached_tokens: int = 0


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
