"""What the rates mean for people who wait. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from models.bench.measure import Rates
from models.columns import render_columns

QUESTION_TOKENS: Final = 500
ANSWER_TOKENS: Final = 150


@dataclass(frozen=True, slots=True)
class Wait:
    """Of the last of so many users who ask in one moment: until the first word, and until the last."""

    first_seconds: float
    last_seconds: float


def expected_wait(rates: Rates) -> Wait:
    """For as many users as there were sequences; nothing that they send is the same.

    All prompts are read before the last user sees a word; the answers are then written side by side.
    """
    first = rates.sequences * QUESTION_TOKENS / rates.read_per_second
    return Wait(first, first + rates.sequences * ANSWER_TOKENS / rates.written_per_second)


def render(measured: Sequence[Rates], memory_bytes: int) -> str:
    """A table for a terminal."""
    rows: list[tuple[str, ...]] = [("SEQUENCES", "READS/S", "WRITES/S", "EACH/S", "FIRST WORD", "LAST WORD")]
    rows += [_row(rates) for rates in measured]
    users = f"of the last of so many users who ask at once, {QUESTION_TOKENS} tokens each, for {ANSWER_TOKENS}"
    return f"{render_columns(rows)}\nFIRST WORD, LAST WORD: {users}\nmemory: {memory_bytes / 1e6:.0f} MB at most\n"


def render_json(measured: Sequence[Rates], memory_bytes: int) -> str:
    """The same as one JSON object."""
    document = {
        "memory_bytes": memory_bytes,
        "question_tokens": QUESTION_TOKENS,
        "answer_tokens": ANSWER_TOKENS,
        "measured": [_fields(rates) for rates in measured],
    }
    return json.dumps(document, indent=2) + "\n"


def _row(rates: Rates) -> tuple[str, ...]:
    wait = expected_wait(rates)
    return (
        str(rates.sequences),
        f"{rates.read_per_second:.0f}",
        f"{rates.written_per_second:.0f}",
        f"{rates.written_per_second / rates.sequences:.1f}",
        f"{wait.first_seconds:.1f} s",
        f"{wait.last_seconds:.1f} s",
    )


def _fields(rates: Rates) -> dict[str, object]:
    wait = expected_wait(rates)
    return {
        "sequences": rates.sequences,
        "read_tokens_per_second": rates.read_per_second,
        "written_tokens_per_second": rates.written_per_second,
        "first_word_seconds": wait.first_seconds,
        "last_word_seconds": wait.last_seconds,
    }
