"""How fast one model is in several formats. `python -m tests.bench.formats FILE FILE …`

The files take turns, so that the machine's moods reach all of them: a prompt of 220 tokens is read, and then steps of
one sequence and of eight. The fastest of all rounds; in parentheses the median, over the rounds, of the speed beside
the first file's: on a shared machine trust that. `--amx` has each of them measured with Intel's tile unit, too.
"""

import argparse
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from models.engine.llama import Context, ContextSettings, Model, tiles_fault
from models.engine.step import Chunk
from models.engine.threads import available_threads

PROMPT_TOKENS: Final = 220
SEQUENCES: Final = 8
STEPS: Final = 4

_CELLS: Final = 512
_FIRST_TOKEN: Final = 1000


class Contender(NamedTuple):
    """A file, and whether the tile unit computes."""

    file: Path
    uses_tiles: bool

    def __str__(self) -> str:
        return f"{self.file.name}{', AMX' if self.uses_tiles else ''}"


class Round(NamedTuple):
    """Seconds: of reading the prompt, of a step of eight sequences, of a step of one."""

    prompt: float
    eight: float
    one: float


def main() -> None:
    """Measure the files that are named on the command line, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--amx", action="store_true")
    options = parser.parse_args()
    if options.amx and (fault := tiles_fault()):
        parser.error(fault)
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # as the model server does
    ways = (False, True) if options.amx else (False,)
    rounds: dict[Contender, list[Round]] = {Contender(file, way): [] for file in options.files for way in ways}
    for _ in range(options.rounds):
        for contender, measured in rounds.items():
            with opened(contender) as context:
                measured.append(measure(context))
    print("\n".join(table(rounds)))


@contextmanager
def opened(contender: Contender) -> Iterator[Context]:
    """A context for the file, warmed by a step."""
    model = Model(contender.file, 0, uses_tiles=contender.uses_tiles)
    context = Context(model, ContextSettings(SEQUENCES * _CELLS, SEQUENCES, _CELLS, available_threads()))
    try:
        context.decode([token(0, 0)])
        context.forget(0)
        yield context
    finally:
        context.close()
        model.close()


def measure(context: Context) -> Round:
    """One round."""
    first = seconds(context, [prompt(0)])
    steps = range(PROMPT_TOKENS, PROMPT_TOKENS + STEPS)
    one = min(seconds(context, [token(0, position)]) for position in steps)
    for slot in range(1, SEQUENCES):
        assert context.inherit(0, slot, PROMPT_TOKENS)
    context.inherit(0, 0, PROMPT_TOKENS)
    eight = min(seconds(context, [token(slot, position) for slot in range(SEQUENCES)]) for position in steps)
    return Round(first, eight, one)


def prompt(slot: int) -> Chunk:
    """The beginning of a sequence."""
    return Chunk(slot, 0, tuple(range(_FIRST_TOKEN, _FIRST_TOKEN + PROMPT_TOKENS)), wants_token=True)


def token(slot: int, position: int) -> Chunk:
    """The next token of a sequence."""
    return Chunk(slot, position, (_FIRST_TOKEN + position,), wants_token=True)


def seconds(context: Context, chunks: list[Chunk]) -> float:
    """What one step takes."""
    started_at = time.perf_counter()
    context.decode(chunks)
    return time.perf_counter() - started_at


def table(rounds: dict[Contender, list[Round]]) -> Iterator[str]:
    """The lines of a table."""
    base = next(iter(rounds.values()))
    yield f"| file | prompt, tokens/s | step of {SEQUENCES}, ms | step of 1, ms |"
    yield "|---|--:|--:|--:|"
    for contender, each in rounds.items():
        best = Round(*map(min, columns(each)))
        ratios = Round(*(speed(before, now) for before, now in zip(columns(base), columns(each), strict=True)))
        reading = f"{PROMPT_TOKENS / best.prompt:.0f} ({ratios.prompt:.2f})"
        steps = f"{1e3 * best.eight:.1f} ({ratios.eight:.2f}) | {1e3 * best.one:.1f} ({ratios.one:.2f})"
        yield f"| {contender} | {reading} | {steps} |"


def columns(rounds: list[Round]) -> list[tuple[float, ...]]:
    """The rounds of each figure."""
    return list(zip(*rounds, strict=True))


def speed(before: tuple[float, ...], now: tuple[float, ...]) -> float:
    """The usual ratio within a round."""
    return median(a / b for a, b in zip(before, now, strict=True))


if __name__ == "__main__":
    main()
