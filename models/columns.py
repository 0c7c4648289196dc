"""Tables for a terminal."""

from collections.abc import Iterable, Sequence


def render_columns(rows: Iterable[Sequence[str]]) -> str:
    """Rows of cells as lines in which the cells stand below each other."""
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table)
    return "\n".join(lines) + "\n"
