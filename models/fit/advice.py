"""Whether a model fits, how fast it will be about, and which one is the best. Pure.

The best is the one with the most parameters among those that fit and are fast enough for somebody who waits. An answer
that is written alone waits for the weights to be read from memory, a prompt for the products with them. What a thread
gives of both is guessed from what the default model reaches on two cores with AVX-512; of memory no more than two
channels do; and a GPU is taken for a modest one. It is good enough to tell fast from slow; `hotspare model bench`
measures.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from models.catalog.entry import CatalogEntry
from models.engine.sizing import Wishes
from models.fit.machine import Machine
from models.fit.need import Facts, Need, megabytes, need_of

_READING_RATE: Final = 5.0
"""Tokens a second: about as fast as people read. A spare that is slower is waited for."""

_PROMPT_TOKENS: Final = 500
_PATIENCE_SECONDS: Final = 15.0
"""A prompt of that length has to be read in this time."""

_BYTES_PER_PARAMETER: Final = 0.6
"""In four-bit formats, where nobody has said how many parameters there are."""

_CLASSES: Final = ((30.0, "fast"), (10.0, "fluent"), (_READING_RATE, "as one reads"), (0.0, "slow"))

_SHARE: Final = 0.9
"""Of the free memory: what runs beside it grows, too."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model of the catalogue, what is known of it, and whether it is here."""

    entry: CatalogEntry
    facts: Facts | None
    is_present: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """About one model.

    Attributes:
        name: of the catalogue.
        parameters: of the model; None if nobody has said.
        quantization: of its weights.
        is_present: whether its file is here.
        need: the sum; None if too little is known.
        fits: whether that much memory is there.
        tokens_per_second: of one answer alone, expected; None if too little is known.
        prompt_tokens_per_second: likewise, of a prompt.
        reason: why it fits or not, for people.

    """

    name: str
    parameters: int | None
    quantization: str
    is_present: bool
    need: Need | None
    fits: bool
    tokens_per_second: float | None
    prompt_tokens_per_second: float | None
    reason: str

    @property
    def is_quick(self) -> bool:
        """Whether somebody who waits would."""
        if self.tokens_per_second is None or self.prompt_tokens_per_second is None:
            return False
        reading_seconds = _PROMPT_TOKENS / self.prompt_tokens_per_second
        return self.tokens_per_second >= _READING_RATE and reading_seconds <= _PATIENCE_SECONDS

    @property
    def speed(self) -> str:
        """Its class, for people."""
        rate = self.tokens_per_second
        return "?" if rate is None else next(name for least, name in _CLASSES if rate >= least)


@dataclass(frozen=True, slots=True)
class Advice:
    """The best model, None if there is none, and why."""

    name: str | None
    reason: str


def judge(candidate: Candidate, machine: Machine, wishes: Wishes) -> Verdict:
    """Say whether a model fits this machine."""
    entry, facts = candidate.entry, candidate.facts
    parameters = entry.shape.parameters if entry.shape else None
    if facts is None:
        reason = "unknown: pull it, or give its `shape` in catalog.yaml"
        return Verdict(
            entry.name, parameters, entry.quantization, candidate.is_present, None, False, None, None, reason
        )
    need = need_of(facts, wishes, available_bytes=machine.room_bytes, has_gpu=machine.has_gpu)
    return Verdict(
        name=entry.name,
        parameters=parameters,
        quantization=entry.quantization,
        is_present=candidate.is_present,
        need=need,
        fits=machine.holds(need, _SHARE),
        tokens_per_second=machine.bandwidth / max(_bytes_per_token(entry, facts), 1),
        prompt_tokens_per_second=machine.products / max(_active_parameters(entry, facts), 1),
        reason=_reason(need, machine),
    )


def advise(verdicts: Iterable[Verdict]) -> Advice:
    """Recommend one; of two of a size the later."""
    fitting = [verdict for verdict in verdicts if verdict.fits]
    if not fitting:
        return Advice(None, "no model of the catalogue fits into the free memory: free some, or lower --context")
    quick = [verdict for verdict in fitting if verdict.is_quick]
    if not quick:
        best = max(fitting, key=lambda verdict: verdict.tokens_per_second or 0)
        return Advice(best.name, f"everything that fits would be slow here; this is the fastest: {_why(best)}")
    best = max(quick, key=lambda verdict: verdict.parameters or 0)
    is_largest = all((verdict.parameters or 0) <= (best.parameters or 0) for verdict in fitting)
    rest = "" if is_largest else "; larger ones would fit too, and be slow here"
    return Advice(best.name, f"the largest that fits and is quick enough to wait for: {_why(best)}{rest}")


def smaller_than(weights_bytes: int, verdicts: Iterable[Verdict]) -> str | None:
    """The largest model with fewer weights that fits."""
    fitting = [each for each in verdicts if each.fits and each.need and each.need.weights_bytes < weights_bytes]
    best = max(fitting, key=lambda verdict: verdict.parameters or 0, default=None)
    return best.name if best else None


def _bytes_per_token(entry: CatalogEntry, facts: Facts) -> float:
    shape = entry.shape
    return facts.weights_bytes * (shape.active_parameters / shape.parameters if shape else 1)


def _active_parameters(entry: CatalogEntry, facts: Facts) -> float:
    return entry.shape.active_parameters if entry.shape else facts.weights_bytes / _BYTES_PER_PARAMETER


def _reason(need: Need, machine: Machine) -> str:
    if need.weights_bytes > machine.room_bytes:
        return f"the weights alone take {megabytes(need.weights_bytes)}, {machine.room}"
    return f"{need}, {machine.room}"


def _why(verdict: Verdict) -> str:
    size = f"{verdict.parameters / 1e9:.1f} billion parameters in " if verdict.parameters else ""
    reading, writing = verdict.prompt_tokens_per_second or 0, verdict.tokens_per_second or 0
    speed = f"reads about {reading:.0f} tokens a second and writes {writing:.0f} ({verdict.speed})"
    return f"{size}{verdict.quantization or 'an unknown format'}, {speed}; {verdict.reason}"
