"""An outage as a row of acts, and its compression in time: pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from tests.fakes.behaviour import Behaviour

_EMPTY: Mapping[str, Behaviour] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Act:
    """A part of an outage. `length` is in whatever unit its timeline is in; a compressed one is in seconds."""

    length: float
    answers: tuple[Behaviour, ...]
    """How requests are answered, in turn. Empty: nobody listens."""
    by_model: Mapping[str, Behaviour] = field(default_factory=lambda: _EMPTY)
    """Models that fare otherwise."""
    delay_seconds: float = 0.0
    """How long slow answers take, at the time of the replay."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """The acts in order. `is_check_green`: whether the list of models was served all the while."""

    acts: Sequence[Act]
    is_check_green: bool = False

    def compressed(self, seconds: float, *, least_seconds: float) -> "Timeline":
        """The same in `seconds`, or a little more: no act is made shorter than `least_seconds`.

        An act of four minutes in an outage of hours would else be over before anybody has asked.
        """
        whole = sum(act.length for act in self.acts)
        return replace(
            self,
            acts=[replace(act, length=max(act.length / whole * seconds, least_seconds)) for act in self.acts],
        )
