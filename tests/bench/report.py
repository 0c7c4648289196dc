"""The results as a Markdown table: each figure of each target, and beside it how it compares."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from math import isnan, nan
from statistics import median

from tests.bench.load import Load, Result
from tests.bench.scenario import Plan, Round

DIRECT = "direct"
REFERENCE = "nginx"
_ABSENT = "-"


class Comparison(Enum):
    """What stands beside a figure: nothing, what is added to going direct, or the ratio to nginx."""

    NONE = auto()
    ADDED = auto()
    RATIO = auto()


_COMPARED_WITH = {Comparison.ADDED: DIRECT, Comparison.RATIO: REFERENCE}


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: its label with the unit, how it is read off a round in that unit, its decimals."""

    label: str
    read: Callable[[Round], float]
    decimals: int = 0
    comparison: Comparison = Comparison.NONE

    def value(self, rounds: Sequence[Round]) -> float:
        """The median over the rounds that have this figure, NaN if none has."""
        values = [value for value in map(self.read, rounds) if not isnan(value)]
        return median(values) if values else nan


@dataclass(frozen=True, slots=True)
class Column:
    """One target: what it is (its version, or why it is not there) and its rounds."""

    name: str
    about: str
    rounds: list[Round]


def _of(load: str, read: Callable[[Result], float]) -> Callable[[Round], float]:
    return lambda turn: read(turn.results[load]) if load in turn.results else nan


def rows(plan: Plan) -> list[Row]:
    """The figures, with the sizes of the plan in their labels."""
    return [
        Row(
            f"{plan.saturated.connections} connections: requests/s",
            _of("saturated", lambda result: result.requests_per_second),
            comparison=Comparison.RATIO,
        ),
        Row(
            "… CPU per request, µs",
            _of("saturated", lambda result: result.cpu_per_request * 1e6),
            1,
            Comparison.RATIO,
        ),
        Row("… core busy, %", _of("saturated", lambda result: result.cpu_seconds / result.seconds * 100)),
        Row("1 connection: p50, µs", _of("calm", lambda result: result.latency_p50), comparison=Comparison.ADDED),
        *_latency_rows(f"{plan.steady.rate:,.0f} requests/s", "steady"),
        *_stream_rows(plan.streams, "streams"),
        Row("… memory per stream, KB", lambda turn: turn.rss_bytes_per_stream / 1e3, 1, Comparison.RATIO),
        *_stream_rows(plan.crowd, "crowd"),
        Row("memory when idle, MB", lambda turn: turn.idle_rss_bytes / 1e6, 1),
        Row("start to first answer, s", lambda turn: turn.start_seconds, 2),
        Row("failed requests, lost events", lambda turn: turn.faults),
    ]


def _latency_rows(label: str, load: str) -> list[Row]:
    return [
        Row(f"{label}: p50, µs", _of(load, lambda result: result.latency_p50), comparison=Comparison.ADDED),
        Row("… p99, µs", _of(load, lambda result: result.latency_p99), comparison=Comparison.RATIO),
    ]


def _stream_rows(load: Load, name: str) -> list[Row]:
    assert load.pace
    label = f"{load.connections:,} streams, an event every {load.pace.gap_microseconds / 1000:.0f} ms"
    return [
        Row(f"{label}: delay p50, µs", _of(name, lambda result: result.delay_p50), comparison=Comparison.RATIO),
        Row("… delay p99, µs", _of(name, lambda result: result.delay_p99), comparison=Comparison.RATIO),
        Row("… CPU per 1,000 events, ms", _of(name, lambda result: result.cpu_per_event * 1e6), 1, Comparison.RATIO),
        Row("… streams not finished in time", _of(name, lambda result: result.unfinished)),
    ]


def table(plan: Plan, columns: Sequence[Column]) -> str:
    """The Markdown table."""
    by_name = {column.name: column for column in columns}
    lines = [
        _line(["", *by_name]),
        "|---|" + "--:|" * len(columns),
        _line(["version", *(column.about or _ABSENT for column in columns)]),
    ]
    lines += [_line([row.label, *(_cell(row, column, by_name) for column in columns)]) for row in rows(plan)]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(row: Row, column: Column, columns: Mapping[str, Column]) -> str:
    value = row.value(column.rounds)
    if isnan(value):
        return _ABSENT
    text = f"{value:,.{row.decimals}f}"
    other = columns.get(_COMPARED_WITH.get(row.comparison, ""))
    base = row.value(other.rounds) if other else nan
    if isnan(base) or column.name == DIRECT or column is other:
        return text
    if row.comparison is Comparison.ADDED:
        return f"{text} ({value - base:+,.{row.decimals}f})"
    return f"{text} ({value / base:.2f} x)" if base else text
