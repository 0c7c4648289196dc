"""For which kinds of model Intel's tile unit is taken by itself."""

from pathlib import Path

import pytest

from models.catalog.gguf import Header
from models.conversion.tiling import choose_tiling, tiling_of


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gemma3"])
def test_proven_kinds_are_computed_on_it(kind: str) -> None:
    assert tiling_of(Header((), 0, kind, {f"{kind}.expert_count": 0})).uses_tiles


@pytest.mark.parametrize("kind", ["lfm2", "mamba", "qwen2moe", ""])
def test_others_are_not_unless_asked_for(kind: str) -> None:
    tiling = tiling_of(Header((), 0, kind))
    assert str(tiling).startswith("tile unit: not used (models of kind")
    assert "--amx on" in tiling.reason


def test_mixtures_of_experts_are_not() -> None:
    tiling = tiling_of(Header((), 0, "llama", {"llama.expert_count": 8}))
    assert (tiling.uses_tiles, "mixture of experts" in tiling.reason) == (False, True)


def test_switched_off_the_file_is_not_even_looked_at() -> None:
    assert str(choose_tiling(Path("/nowhere"), "off")) == "tile unit: not used (as asked for)"
