"""Measure a model file: load it, go through the numbers of sequences, free it."""

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from models.bench.measure import CELLS, PROMPT_TOKENS, WRITTEN_TOKENS, Rates, measure
from models.engine.memory import available_bytes
from models.engine.sizing import STEP_TOKENS
from models.engine.threads import available_threads
from models.errors import LoadFailed

if TYPE_CHECKING:
    from models.engine.llama import Context, Model

SEQUENCES: Final = (1, 2, 4, 8, 16, 32)

_MEMORY_SHARE: Final = 2
"""The cache takes half of what is free at most; where that is too little, fewer sequences are measured."""

_TEXT: Final = "The quick brown fox jumps over the lazy dog, and then it wonders what the dog will say to that. "


def bench(path: Path, limit_seconds: float, say: Callable[[str], None], *, uses_tiles: bool = False) -> list[Rates]:
    """Rates at each of `SEQUENCES`, as many as there is memory for.

    Args:
        path: the GGUF file.
        limit_seconds: for each of the two parts of a measurement.
        say: takes progress, one line at a time.
        uses_tiles: let the CPU's tile unit compute.

    Raises:
        LoadFailed: the file cannot be loaded, or not measured.

    """
    # Only here: importing llama_cpp loads the shared library, which reads the environment.
    from models.engine import llama

    model = llama.Model(path, llama.choose_gpu_layers(None).layers, uses_tiles=uses_tiles)
    try:
        if not model.makes_text:
            raise LoadFailed("only models that write can be measured: this one is made for embeddings")
        with _context(model) as (context, most):
            return list(_measured(context, _prompt(model), most, limit_seconds, say))
    finally:
        model.close()


def peak_memory_bytes() -> int:
    """The most that this process has had in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _measured(
    context: "Context", prompt: list[int], most: int, limit_seconds: float, say: Callable[[str], None]
) -> Iterator[Rates]:
    for sequences in SEQUENCES:
        if sequences > most:
            say(f"no memory for {sequences} sequences at once")
            return
        say(f"measuring {sequences} at once: {PROMPT_TOKENS} tokens read and {WRITTEN_TOKENS} written by each")
        yield measure(context, sequences, prompt, time.monotonic, limit_seconds)


@contextmanager
def _context(model: "Model") -> Iterator[tuple["Context", int]]:
    """A context, laid out as the server would, and how many sequences it is for."""
    from models.engine import llama

    room = available_bytes() // _MEMORY_SHARE // (CELLS * model.kv_bytes_per_token)
    most = max(1, min(SEQUENCES[-1], room))
    has_gpu = model.gpu_layers > 0
    settings = llama.ContextSettings(
        cells=most * CELLS,
        slots=most,
        batch_tokens=STEP_TOKENS,
        threads=available_threads(),
        has_flash_attention=has_gpu,
    )
    context = llama.Context(model, settings)
    try:
        yield context, most
    finally:
        context.close()


def _prompt(model: "Model") -> list[int]:
    tokens = model.tokenize(_TEXT * PROMPT_TOKENS, add_special=True, parse_special=False)
    return tokens[:PROMPT_TOKENS]
