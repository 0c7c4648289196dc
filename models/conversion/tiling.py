"""Whether Intel's tile unit (AMX) computes with a model: what is wished, what the build can, which kind it is.

The unit multiplies matrices two to four times as fast. llama.cpp's code for it is young: mixtures of experts and models
with convolutions were reported to crash with it, so that it is taken by itself only for kinds that are known to work.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

from models.catalog.gguf import Header, header_of
from models.errors import HeaderInvalid

AmxWish: TypeAlias = Literal["auto", "on", "off"]
AMX_WISHES: Final[tuple[AmxWish, ...]] = get_args(AmxWish)

_PROVEN: Final = frozenset({"llama", "qwen2", "gemma3"})
"""Architectures, as llama.cpp calls them, of which a model with real weights has passed our tests on the unit."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """Whether the unit computes, and why, for people."""

    uses_tiles: bool
    reason: str

    def __str__(self) -> str:
        return f"tile unit: {'used' if self.uses_tiles else 'not used'} ({self.reason})"


def choose_tiling(path: Path, wish: AmxWish) -> Tiling:
    """Decide for the model file at `path`. Loads llama.cpp, which takes a fraction of a second."""
    if wish == "off":
        return Tiling(uses_tiles=False, reason="as asked for")
    # Only here: importing llama_cpp loads the shared library, which reads the environment.
    from models.engine import llama

    if fault := llama.tiles_fault():
        return Tiling(uses_tiles=False, reason=fault)
    if wish == "on":
        return Tiling(uses_tiles=True, reason="as asked for")
    try:
        return tiling_of(header_of(path))
    except (HeaderInvalid, OSError):  # whoever loads it says what is wrong with it
        return Tiling(uses_tiles=False, reason="the file does not say which kind of model it is")


def tiling_of(header: Header) -> Tiling:
    """Decide for a machine and a build that can. Pure."""
    kind = header.architecture
    if header.numbers.get(f"{kind}.expert_count"):
        return Tiling(uses_tiles=False, reason="a mixture of experts is not proven on it; --amx on tries it")
    if kind not in _PROVEN:
        return Tiling(uses_tiles=False, reason=f"models of kind {kind!r} are not proven on it; --amx on tries it")
    return Tiling(uses_tiles=True, reason=f"models of kind {kind!r} are proven on it")
