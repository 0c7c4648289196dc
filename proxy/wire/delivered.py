"""What a client has of an answer that broke, as whoever goes on with it is told."""

from typing import NamedTuple


class Unstitchable(Exception):
    """Nobody can go on behind this; the text says why."""


class DeliveredCall(NamedTuple):
    """A tool call. `arguments` is JSON text that may be cut anywhere, in the middle of an escape too."""

    id: str
    name: str
    arguments: str


class Delivered(NamedTuple):
    """One answer. All calls but the last are complete, as far as is known."""

    text: str
    calls: tuple[DeliveredCall, ...] = ()
    is_refusal: bool = False
    """The text declines to answer, and owes nothing to the form that was asked for."""
