"""The results as a Markdown table: each figure of each target, and beside it how it compares with going direct."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from math import isnan

from tests.bench.measure import Figures, Footprint


class Comparison(Enum):
    """What stands beside a figure."""

    NONE = auto()
    ADDED = auto()
    SHARE = auto()


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: its label with the unit, its field, by what it is multiplied to be in that unit, its decimals."""

    label: str
    field: str
    scale: float = 1.0
    decimals: int = 0
    comparison: Comparison = Comparison.NONE


_LOAD_ROWS = (
    Row("1 connection: p50, µs", "request_p50", 1e6, comparison=Comparison.ADDED),
    Row("1 connection: p99, µs", "request_p99", 1e6, comparison=Comparison.ADDED),
    Row("32 connections: requests/s", "requests_per_second", comparison=Comparison.SHARE),
    Row("… CPU per request, µs", "cpu_per_request", 1e6, 1),
    Row("… core busy, %", "core_busy_ratio", 100),
    Row("time to first event: p50, µs", "ttft_p50", 1e6, comparison=Comparison.ADDED),
    Row("time to first event: p99, µs", "ttft_p99", 1e6, comparison=Comparison.ADDED),
    Row("100 paced streams: event delay p50, µs", "delay_p50", 1e6, comparison=Comparison.ADDED),
    Row("100 paced streams: event delay p99, µs", "delay_p99", 1e6, comparison=Comparison.ADDED),
    Row("… CPU per 1,000 events, ms", "cpu_per_event", 1e6, 1),
    Row("100 rushed streams: events/s", "events_per_second", comparison=Comparison.SHARE),
    Row("… CPU per 1,000 events, ms", "cpu_per_rushed_event", 1e6, 1),
    Row("failed requests", "failures"),
)
_FOOTPRINT_ROWS = (
    Row("start to first served request, s", "start_seconds", decimals=2),
    Row("memory when idle, MB", "idle_rss_bytes", 1e-6, 1),
    Row("memory per open stream, KB", "rss_bytes_per_stream", 1e-3, 1),
)
_TITLE = "# The proxy against going direct, by `make bench`"
_NOTES = (
    "In parentheses: what is added to going direct, or the share of the direct rate. Mock and driver share a core, so "
    "the direct rates are what they can offer at most; a proxy whose core is not busy was held back by them, and its "
    "CPU time is the figure to compare."
)


def render(machine: str, direct: str, loads: Mapping[str, Figures], footprints: Mapping[str, Footprint]) -> str:
    """The report; `direct` names the target that the others are compared with."""
    names = list(loads)
    lines = [f"| | {' | '.join(names)} |", f"|---|{'--:|' * len(names)}"]
    base = loads[direct]
    lines += [_line(row, [_compared(row, figures, base) for figures in loads.values()]) for row in _LOAD_ROWS]
    lines += [_line(row, [_plain(row, footprints.get(name)) for name in names]) for row in _FOOTPRINT_ROWS]
    return "\n".join([_TITLE, "", f"{machine}.", "", *lines, "", _NOTES, ""])


def _line(row: Row, cells: list[str]) -> str:
    return f"| {row.label} | {' | '.join(cells)} |"


def _compared(row: Row, figures: Figures, base: Figures) -> str:
    text = _plain(row, figures)
    value, reference = (getattr(source, row.field) * row.scale for source in (figures, base))
    if figures is base or row.comparison is Comparison.NONE:
        return text
    if row.comparison is Comparison.ADDED:
        return f"{text} ({value - reference:+,.{row.decimals}f})"
    return f"{text} ({value / reference:.2f} x)"


def _plain(row: Row, source: Figures | Footprint | None) -> str:
    value = getattr(source, row.field) * row.scale if source else float("nan")
    return "-" if isnan(value) else f"{value:,.{row.decimals}f}"
