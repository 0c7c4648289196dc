"""What a burst comes to, in figures, and the medians of several rounds."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, nan
from statistics import fmean

from tests.bench.serving.answer import Answer


def percentile(values: Sequence[float], percent: float) -> float:
    """Interpolated between the nearest two (as numpy does by default); NaN if there are no values."""
    ordered = sorted(value for value in values if not isnan(value))
    if not ordered:
        return nan
    place = (len(ordered) - 1) * percent / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


@dataclass(frozen=True, slots=True)
class Figures:
    """One burst. NaN where there was nothing to measure.

    `tokens_per_second` counts the tokens of whole answers, from the first request to the last end. `gap` is the time
    between pieces of content of one answer; a piece is a token, unless a server joins them. `prompt_tokens` and
    `output_tokens` are means over the whole answers. `faults` says what was wrong, and how often.
    """

    requests: int
    failed: int
    seconds: float
    tokens_per_second: float
    ttft_p50_seconds: float
    ttft_p99_seconds: float
    gap_p50_seconds: float
    gap_p99_seconds: float
    prompt_tokens: float
    output_tokens: float
    faults: dict[str, int]

    @classmethod
    def of(cls, answers: Sequence[Answer]) -> "Figures":
        """From all answers of the burst, at least one."""
        whole = [answer for answer in answers if answer.is_whole]
        seconds = max(answer.ended_at for answer in answers) - min(answer.sent_at for answer in answers)
        ttfts = [answer.ttft_seconds for answer in whole]
        gaps = [gap for answer in whole for gap in answer.gaps_seconds]
        return cls(
            requests=len(answers),
            failed=len(answers) - len(whole),
            seconds=seconds,
            tokens_per_second=sum(answer.output_tokens for answer in whole) / seconds,
            ttft_p50_seconds=percentile(ttfts, 50),
            ttft_p99_seconds=percentile(ttfts, 99),
            gap_p50_seconds=percentile(gaps, 50),
            gap_p99_seconds=percentile(gaps, 99),
            prompt_tokens=fmean(answer.prompt_tokens for answer in whole) if whole else nan,
            output_tokens=fmean(answer.output_tokens for answer in whole) if whole else nan,
            faults=Counter(answer.fault for answer in answers if answer.fault),
        )


_MEDIANS = tuple(name for name in Figures.__slots__ if name not in ("requests", "failed", "faults"))


def summary(rounds: Sequence[Figures]) -> Figures:
    """The median of each figure over the rounds that have it; requests and failures are added up."""
    medians = {name: percentile([getattr(figures, name) for figures in rounds], 50) for name in _MEDIANS}
    faults: Counter[str] = Counter()
    for figures in rounds:
        faults.update(figures.faults)
    requests = sum(figures.requests for figures in rounds)
    failed = sum(figures.failed for figures in rounds)
    return Figures(requests=requests, failed=failed, faults=faults, **medians)
