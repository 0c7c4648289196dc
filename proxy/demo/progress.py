"""The wait for the local model, as the page shows it: one line that changes, or a line for each phase. Pure."""

from typing import Final

from proxy.demo.page import INDENT, Ink, Page
from proxy.telemetry.events import Phase

_ANEW: Final = "\r\x1b[K"
"""Back to the start of the line, and empty it (ECMA-48: CR, EL)."""


class Progress:
    """Ask it often what is to be printed."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._phase: Phase | None = None

    def step(self, phase: Phase, seconds: float) -> str:
        """In this phase, so long after the start."""
        is_new, self._phase = phase is not self._phase, phase
        if phase is Phase.DOWN:  # it is about to be started
            return ""
        if phase is Phase.FETCHING:  # pip writes below, how far it is
            return self._line("the local model is fetched, which happens once") + "\n" if is_new else ""
        if self._page.is_live:
            return self._line(f"the local model is {phase}, {seconds:.1f} s")
        return self._line(f"the local model is {phase}") + "\n" if is_new else ""

    def ready(self, model: str, seconds: float) -> str:
        """It has come up."""
        return self._line(f"{self._page.inked(model, Ink.LOCAL)} is ready after {seconds:.1f} s") + "\n"

    def failed(self) -> str:
        """It will not come up; the error is told elsewhere."""
        return "\n" if self._page.is_live else ""

    def _line(self, text: str) -> str:
        return f"{_ANEW if self._page.is_live else ''}{INDENT}{text}"
