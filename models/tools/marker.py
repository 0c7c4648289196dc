"""Text that is read up to a marker: what of it can be told already."""

from typing import Final

SPACE: Final = " \n\r\t"


def settled(text: str, marker: str) -> int:
    """How much of a text is sure to stand before the marker and the spaces that part them: all but its last letters,
    where the marker may have begun.
    """
    sizes = range(min(len(text), len(marker) - 1), 0, -1)
    begun = next((size for size in sizes if text.endswith(marker[:size])), 0)
    return len(text[: len(text) - begun].rstrip(SPACE))
