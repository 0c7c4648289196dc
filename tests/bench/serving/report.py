"""The results as tables in Markdown, each figure beside its ratio to the first server's, and as JSON."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan

import msgspec

from tests.bench.serving.burst import Result
from tests.bench.serving.figures import Figures, percentile, summary
from tests.bench.serving.interruption import Pause
from tests.bench.serving.plan import Case

_ABSENT = "-"


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, a table under it, and what the JSON has of it."""

    title: str
    table: str
    data: object

    def __str__(self) -> str:
        return f"## {self.title}\n\n{self.table}\n"


@dataclass(frozen=True, slots=True)
class _Column:
    """One figure: its label with the unit, how it is read, in that unit, its decimals, whether it is compared."""

    label: str
    read: Callable[[Figures], float]
    scale: float = 1.0
    decimals: int = 0
    is_compared: bool = True

    def cell(self, figures: Figures, first: Figures | None) -> str:
        base = self.read(first) if first and self.is_compared else None
        return cell(self.read(figures), base, self.scale, self.decimals)


_COLUMNS = (
    _Column("tokens/s", lambda figures: figures.tokens_per_second, decimals=1),
    _Column("TTFT p50, s", lambda figures: figures.ttft_p50_seconds, decimals=3),
    _Column("p99, s", lambda figures: figures.ttft_p99_seconds, decimals=3),
    _Column("between tokens p50, ms", lambda figures: figures.gap_p50_seconds, 1e3, 1),
    _Column("p99, ms", lambda figures: figures.gap_p99_seconds, 1e3, 1),
    _Column("tokens in", lambda figures: figures.prompt_tokens, is_compared=False),
    _Column("out", lambda figures: figures.output_tokens, is_compared=False),
)


def cell(value: float, base: float | None, scale: float = 1.0, decimals: int = 0) -> str:
    """A figure, and its ratio to the base unless that is the figure itself (None) or was not measured."""
    if isnan(value):
        return _ABSENT
    text = f"{value * scale:,.{decimals}f}"
    return text if base is None or isnan(base) or not base else f"{text} ({value / base:.2f} x)"


def line(result: Result) -> str:
    """One burst in one line, for whoever watches."""
    figures = result.figures
    return (
        f"{result.server:<16} {result.case!s:<28} {figures.tokens_per_second:8.1f} tokens/s"
        f"  TTFT {figures.ttft_p50_seconds:7.3f} {figures.ttft_p99_seconds:7.3f} s"
        f"  gap {figures.gap_p50_seconds * 1e3:6.1f} {figures.gap_p99_seconds * 1e3:7.1f} ms"
        f"  {figures.failed} of {figures.requests} failed{_most_frequent(figures)}"
    )


def _most_frequent(figures: Figures) -> str:
    faults = sorted(figures.faults.items(), key=lambda item: -item[1])
    return f": {faults[0][0]}" if faults else ""


def bursts(results: Sequence[Result], servers: Sequence[str]) -> list[Section]:
    """A table for each mode and kind of prompts, with the sizes of the burst and the servers as its lines."""
    sections = defaultdict(list)
    for result in results:
        sections[f"{result.case.mode.value.capitalize()}, {result.case.kind.value} prompts"].append(result)
    return [burst_section(title, of_one, servers) for title, of_one in sections.items()]


def burst_section(title: str, results: Sequence[Result], servers: Sequence[str]) -> Section:
    """One such table, from results of one mode and kind."""
    rounds: dict[Case, dict[str, list[Figures]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        rounds[result.case][result.server].append(result.figures)
    lines = [_row(["clients", "server", *(column.label for column in _COLUMNS), "failed"]), _rule(2, len(_COLUMNS) + 1)]
    for case, of_case in rounds.items():
        medians = {name: summary(of_case[name]) for name in servers if name in of_case}
        lines += _burst_lines(case, medians, medians.get(servers[0]))
    return Section(title, "\n".join(lines), results)


def _burst_lines(case: Case, medians: Mapping[str, Figures], first: Figures | None) -> list[str]:
    return [
        _row(
            [
                str(case.clients),
                name,
                *(column.cell(figures, None if figures is first else first) for column in _COLUMNS),
                f"{figures.failed} of {figures.requests}",
            ]
        )
        for name, figures in medians.items()
    ]


_PAUSE_COLUMNS = (
    ("longest pause, s", "longest_pause_seconds", 1.0, 2),
    ("usual gap p50, ms", "usual_gap_seconds", 1e3, 1),
    ("TTFT of the long prompt, s", "long_ttft_seconds", 1.0, 2),
)


def pause_line(server: str, pause: Pause) -> str:
    """One interruption in one line, for whoever watches."""
    return (
        f"{server:<16} {pause.long_prompt_tokens:,} tokens: longest pause {pause.longest_pause_seconds:.2f} s,"
        f" usual gap {pause.usual_gap_seconds * 1e3:.1f} ms; {pause.fault or 'no faults'}"
    )


def interruptions(pauses: Mapping[str, Sequence[Pause]]) -> Section:
    """What a long prompt did to running streams. Rounds with a fault tell nothing else."""
    lines = [_row(["server", *(label for label, *_ in _PAUSE_COLUMNS), "its tokens", "faults"]), _rule(1, 4, 1)]
    first = next(iter(pauses), "")
    for name, rounds in pauses.items():
        cells = []
        for _, field, scale, decimals in _PAUSE_COLUMNS:
            base = None if name == first else _pause_median(pauses[first], field)
            cells.append(cell(_pause_median(rounds, field), base, scale, decimals))
        tokens = max((pause.long_prompt_tokens for pause in rounds), default=0)
        faults = "; ".join(sorted({pause.fault for pause in rounds if pause.fault}))
        lines.append(_row([name, *cells, f"{tokens:,}" if tokens else _ABSENT, faults or "none"]))
    return Section("A long prompt among running streams", "\n".join(lines), pauses)


def _pause_median(rounds: Sequence[Pause], field: str) -> float:
    return percentile([getattr(pause, field) for pause in rounds if pause.fault is None], 50)


def _row(cells: Sequence[str]) -> str:
    # A fault quotes what a server has said, which may be anything.
    return f"| {' | '.join(' '.join(text.replace('|', '/').split()) for text in cells)} |"


def _rule(names: int, figures: int, remarks: int = 0) -> str:
    return "|" + "---|" * names + "--:|" * figures + "---|" * remarks


def as_json(about: Mapping[str, object], sections: Sequence[Section]) -> bytes:
    """Every figure of every round. NaN becomes null."""
    document = {**about, "sections": [{"title": section.title, "data": section.data} for section in sections]}
    return msgspec.json.format(msgspec.json.encode(document), indent=1)
