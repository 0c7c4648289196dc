"""When a spare that rests is woken, and when one that was woken may rest again.

    resting ──wanted──▶ up ──unneeded for long, idle──▶ leaving ──still idle at the next beat──▶ resting
                        ▲                                  │
                        └──────── wanted, or busy ─────────┘

While it is leaving, nobody is let in any more, but whoever was let in a moment before may not have been counted yet.
The next beat counts him.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final, Literal

from proxy.core.breaker import State

Standby = Literal["hot", "warm", "cold"]
"""How much of the spare is there while nobody needs it: all of it, all but its memory, nothing."""

REST_SECONDS: Final = 600.0
"""Twice the longest cooldown of a breaker. Outages come in waves, minutes apart (2024-08-16: 44 and 15 minutes), and to
load the model again for each of them costs more than the memory that is lent meanwhile."""


def is_ill(breakers: Mapping[str, Mapping[State, int]]) -> bool:
    """Whether any breaker is not closed. `breakers` says of each upstream how many are in which state."""
    return any(sum(states.values()) > states.get(State.CLOSED, 0) for states in breakers.values())


class Turn(Enum):
    """What a beat leads to."""

    STAY = "go on, and let requests in"
    SHUT = "let nobody in any more"
    REST = "end the child"


class Spare:
    """Whether the model server is wanted. It is told the monotonic instant `now`."""

    def __init__(self, standby: Standby, rest_seconds: float = REST_SECONDS) -> None:
        self.is_hot = standby == "hot"
        """Always wanted."""
        self.is_warm = standby == "warm"
        self._rest_seconds = rest_seconds
        self._wanted_at: float | None = None
        self._is_leaving = False

    @property
    def is_wanted(self) -> bool:
        """Whether a child should be up."""
        return self.is_hot or self._wanted_at is not None

    def want(self, now: float) -> None:
        """Somebody needs it, or will perhaps."""
        self._wanted_at = now
        self._is_leaving = False

    def beat(self, now: float, *, is_busy: bool) -> Turn:
        """The child lives. `is_busy`: a request runs or waits there."""
        if self.is_hot or self._wanted_at is None or is_busy or now - self._wanted_at < self._rest_seconds:
            self._is_leaving = False
            return Turn.STAY
        if not self._is_leaving:
            self._is_leaving = True
            return Turn.SHUT
        self._is_leaving = False
        self._wanted_at = None
        return Turn.REST
