"""The verdicts for people and for programs. Pure."""

import json
from collections.abc import Sequence

from models.columns import render_columns
from models.fit.advice import Advice, Verdict
from models.fit.machine import Machine
from models.fit.need import PROCESS_BYTES, Need, megabytes


def render(verdicts: Sequence[Verdict], advice: Advice, machine: Machine) -> str:
    """A table and a sentence."""
    rows: list[tuple[str, ...]] = [
        ("NAME", "PARAMETERS", "FORMAT", "MEMORY", "FITS", "READS/S", "WRITES/S", "SPEED", "HERE")
    ]
    rows += [_row(verdict) for verdict in verdicts]
    head = f"{megabytes(machine.available_bytes)} of memory are free, {machine.threads} threads{_gpu(machine)}\n\n"
    choice = advice.name or "none"
    hint = f"\nhotspare model pull {advice.name}\n" if advice.name else ""
    return f"{head}{render_columns(rows)}\nbest here: {choice}: {advice.reason}\n{hint}"


def render_json(verdicts: Sequence[Verdict], advice: Advice, machine: Machine) -> str:
    """The same as one JSON object; sizes in bytes."""
    document = {
        "available_bytes": machine.available_bytes,
        "threads": machine.threads,
        "has_gpu": machine.has_gpu,
        "gpu_available_bytes": machine.gpu_bytes,
        "best": advice.name,
        "reason": advice.reason,
        "models": [_fields(verdict) for verdict in verdicts],
    }
    return json.dumps(document, indent=2) + "\n"


def _gpu(machine: Machine) -> str:
    if not machine.has_gpu:
        return ""
    if machine.gpu_bytes is None:
        return "; a GPU was found that has no memory of its own, or does not say how much"
    return f"; {megabytes(machine.gpu_bytes)} are free on the GPU, where weights and cache go"


def _row(verdict: Verdict) -> tuple[str, ...]:
    return (
        verdict.name,
        "?" if verdict.parameters is None else f"{verdict.parameters / 1e9:.1f} B",
        verdict.quantization or "?",
        "?" if verdict.need is None else megabytes(verdict.need.total_bytes),
        "yes" if verdict.fits else "no",
        _rate(verdict.prompt_tokens_per_second),
        _rate(verdict.tokens_per_second),
        verdict.speed,
        "yes" if verdict.is_present else "no",
    )


def _rate(tokens_per_second: float | None) -> str:
    return "?" if tokens_per_second is None else f"~{tokens_per_second:.0f}"


def _fields(verdict: Verdict) -> dict[str, object]:
    return {
        "name": verdict.name,
        "parameters": verdict.parameters,
        "quantization": verdict.quantization,
        "is_present": verdict.is_present,
        "fits": verdict.fits,
        "reason": verdict.reason,
        "expected_tokens_per_second": verdict.tokens_per_second,
        "expected_prompt_tokens_per_second": verdict.prompt_tokens_per_second,
        "speed": verdict.speed,
        "need": _sizes(verdict.need) if verdict.need else None,
    }


def _sizes(need: Need) -> dict[str, int]:
    return {
        "weights_bytes": need.weights_bytes,
        "cache_bytes": need.cache_bytes,
        "compute_bytes": need.compute_bytes,
        "process_bytes": PROCESS_BYTES,
        "total_bytes": need.total_bytes,
    }
