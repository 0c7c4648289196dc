"""Looks at a request now and then, to learn how conversations begin."""

from collections.abc import Callable
from typing import Final

from proxy.core.beginnings import Beginning
from proxy.wire.beginning import beginning

_EVERY_SECONDS: Final = 1.0
"""Looking into one request takes up to a millisecond. At 10,000 requests a second that is a ten-thousandth of each, and
what is frequent is found all the same."""


class Sampler:
    """Tells `note` of the beginning of one chat request a second at most. Ask `due_at` first: that costs nothing."""

    __slots__ = ("_note", "due_at")

    def __init__(self, note: Callable[[Beginning], None]) -> None:
        self._note = note
        self.due_at = 0.0
        """The monotonic instant before which nothing is to be looked at."""

    def take(self, client: str, body: bytes, now: float) -> None:
        """Look at a request."""
        self.due_at = now + _EVERY_SECONDS
        prompt = beginning(body)
        if prompt is not None:
            self._note(Beginning(client, prompt))
