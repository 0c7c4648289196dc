"""Rates of a context at so many sequences. Time is an argument.

Every measurement ends: a prompt that is not read in its time is measured by what was read of it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from models.engine.sizing import STEP_TOKENS
from models.engine.step import Chunk

PROMPT_TOKENS: Final = 128
WRITTEN_TOKENS: Final = 32
CELLS: Final = 256
"""Of each sequence: both of the above, rounded up to what llama.cpp reserves."""


class Backend(Protocol):
    """What is measured."""

    def decode(self, chunks: list[Chunk]) -> list[int]:
        """Read the chunks in one step."""

    def forget(self, slot: int) -> None:
        """Empty a slot."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Of so many sequences together, in tokens a second."""

    sequences: int
    read_per_second: float
    written_per_second: float


def measure(
    backend: Backend, sequences: int, prompt: Sequence[int], now: Callable[[], float], limit_seconds: float
) -> Rates:
    """Let so many sequences read the prompt, then write; each part takes about `limit_seconds` at most.

    Raises:
        DecodeFailed: the context does not hold that many.

    """
    lengths = [0] * sequences
    read = _timed(backend, _reading(lengths, prompt), now, limit_seconds, spoiled=0)
    steps = (_writing(lengths, prompt[0]) for _ in range(WRITTEN_TOKENS))
    written = _timed(backend, steps, now, limit_seconds, spoiled=1)  # the first step of a kind sets llama.cpp up
    for slot in range(sequences):
        backend.forget(slot)
    return Rates(sequences, read, written)


def _reading(lengths: list[int], prompt: Sequence[int]) -> Iterator[list[Chunk]]:
    """Steps that are as full as they may be."""
    abreast = max(STEP_TOKENS // len(prompt), 1)
    for first in range(0, len(lengths), abreast):
        slots = range(first, min(first + abreast, len(lengths)))
        for slot in slots:
            lengths[slot] = len(prompt)
        yield [Chunk(slot, 0, tuple(prompt), wants_token=True) for slot in slots]


def _writing(lengths: list[int], token: int) -> list[Chunk]:
    chunks = [Chunk(slot, length, (token,), wants_token=True) for slot, length in enumerate(lengths)]
    lengths[:] = [length + 1 for length in lengths]
    return chunks


def _timed(
    backend: Backend, steps: Iterator[list[Chunk]], now: Callable[[], float], limit_seconds: float, *, spoiled: int
) -> float:
    """Tokens a second over the steps that could be done in time, at least one, without the first `spoiled` of more."""
    end = now() + limit_seconds
    done: list[tuple[int, float]] = []
    for chunks in steps:
        started_at = now()
        backend.decode(chunks)
        done.append((sum(len(chunk.tokens) for chunk in chunks), now() - started_at))
        if now() >= end:
            break
    counted = done[spoiled:] or done
    return sum(tokens for tokens, _ in counted) / max(sum(seconds for _, seconds in counted), 1e-9)
