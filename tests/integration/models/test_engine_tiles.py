"""Intel's tile unit, where this machine and this build of llama.cpp have it; else that nobody suffers from asking."""

import subprocess
from pathlib import Path

import pytest

from models.engine.llama import Context, ContextSettings, Model, tiles_fault
from models.engine.step import Chunk
from tests.integration.models.tiny import Kind, write
from tests.model_child import Child

PROMPT = tuple(range(1000, 1060))
FAULT = tiles_fault()


@pytest.mark.slow
def test_server_asked_for_tiles_serves_and_says_if_it_does_without(tmp_path: Path) -> None:
    file = write(Kind.FULL, tmp_path / "tiny.gguf")
    child = Child("--model", str(file), "--amx", "on", "--log-level", "warning", stderr=subprocess.PIPE)
    child.lines_until("ready")
    child.close()
    with child.process.stderr or pytest.fail("not piped") as said:
        assert (b"tile unit: not used" in said.read()) is (FAULT is not None)


def likelihoods(file: Path, *, uses_tiles: bool) -> list[float]:
    """Of the prompt's own tokens, some read many at once and some alone."""
    model = Model(file, 0, uses_tiles=uses_tiles)
    context = Context(model, ContextSettings(256, 1, 128, 2))
    found = []
    for start, end in ((0, 40), (40, 41), (41, 42), (42, 59)):
        (row,) = context.decode([Chunk(0, start, PROMPT[start:end], wants_token=True)])
        found.append(context.score(row, PROMPT[end], 0).logprob)
    context.close()
    model.close()
    return found


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.skipif(FAULT is not None, reason=f"no tiles here: {FAULT}")
def test_tiles_find_what_the_other_kernels_find(model_file: Path) -> None:
    assert likelihoods(model_file, uses_tiles=True) == pytest.approx(likelihoods(model_file, uses_tiles=False), abs=0.3)
