"""An attempt beside the one that the client waits for: what it says is kept back until it is needed, or never.

What it may keep is bounded by what one answer of the local model can be.
"""

from typing import Protocol

from proxy.core.outcome import Kind, Outcome
from proxy.server.attempt import Attempt, Listener


class Stage(Listener, Protocol):
    """Whoever the understudy plays for."""

    def understudy_shows(self) -> None:
        """It has content, or its whole answer."""
        ...

    def understudy_failed(self, attempt: Attempt, outcome: Outcome) -> None:
        """It will have nothing to show."""
        ...

    def understudy_fault(self, attempt: Attempt, error: Exception) -> None:
        """Nor here, by a mistake of ours."""
        ...


class Understudy:
    """Listens to an attempt, not yet launched, in place of a stage. `promote` it once, or `dismiss` it."""

    def __init__(self, attempt: Attempt, stage: Stage) -> None:
        self.attempt = attempt
        attempt.listener = self
        self._stage = stage
        self._blocks: list[bytes] = []
        self._end: tuple[Outcome, bytes | None] | None = None

    def promote(self) -> None:
        """Let the stage hear all that was kept back, and everything from now on."""
        self.attempt.listener = self._stage
        if self._blocks:
            self._stage.content(self.attempt, b"".join(self._blocks))
        if self._end is not None:
            self._stage.ended(self.attempt, *self._end)

    def dismiss(self) -> None:
        """It is not needed."""
        if self._end is None:
            self.attempt.cancel()

    # ---- what the attempt says

    def content(self, attempt: Attempt, held: bytes) -> None:  # noqa: ARG002 - a Listener's signature
        """Its first content."""
        self._blocks.append(held)
        self._stage.understudy_shows()

    def block(self, data: bytes) -> None:
        """More of it."""
        self._blocks.append(data)

    def ended(self, attempt: Attempt, outcome: Outcome, body: bytes | None) -> None:
        """It has its whole answer, or failed."""
        if outcome.kind is not Kind.OK and not self._blocks:
            self._stage.understudy_failed(attempt, outcome)
            return
        self._end = outcome, body
        if not self._blocks:
            self._stage.understudy_shows()

    def overdue(self, attempt: Attempt) -> None:
        """Nobody stands in for it."""

    def fault(self, attempt: Attempt, error: Exception) -> None:
        """A mistake of ours."""
        self._stage.understudy_fault(attempt, error)
