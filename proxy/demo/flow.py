"""An answer on the page while it grows: wrapped between words, in the colour of who wrote it, the seam marked. Pure."""

import re
from typing import Final

from proxy.demo.page import INDENT, SEAM, Ink, Page, plain
from proxy.demo.story import Piece

_PARTS: Final = re.compile(r"\n|[^\S\n]+|\S+")
_WIDEST: Final = 88
_MARGIN: Final = 8
"""What a word that comes in several pieces may take beyond: by its first one nobody knows how long it gets."""


class Flow:
    """`put` the pieces in order; print what that gives, at once."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._width = max(min(page.columns, _WIDEST) - len(INDENT) - _MARGIN, 1)
        self._column = 0
        self._gap = ""
        """White space that is shown when a word follows it on the line."""
        self._was_clouds: bool | None = None

    def put(self, piece: Piece) -> str:
        """What is to be printed for the piece."""
        seam = self._page.inked(self._seam(piece), Ink.SEAM)
        shown = "".join(map(self._shown, _PARTS.findall(plain(piece.text))))
        return seam + self._page.inked(shown, Ink.CLOUD if piece.is_clouds else Ink.LOCAL)

    def _seam(self, piece: Piece) -> str:
        before, self._was_clouds = self._was_clouds, piece.is_clouds
        is_seam = before is not None and before is not piece.is_clouds
        return self._placed(SEAM) if is_seam else ""

    def _shown(self, part: str) -> str:
        if part == "\n":
            return self._break()
        if part.isspace():
            self._gap += part
            return ""
        if self._gap and self._column + len(self._gap) + len(part) > self._width:
            return self._break() + self._placed(part)
        gap, self._gap = self._gap, ""
        return self._placed(gap + part)

    def _placed(self, text: str) -> str:
        indent = "" if self._column else INDENT
        self._column += len(text)
        return indent + text

    def _break(self) -> str:
        self._column, self._gap = 0, ""
        return "\n"
