"""Intel's tile unit (AMX), which multiplies matrices two to four times as fast: whether this build may use it."""

from pathlib import Path
from typing import Final

from models.engine.compiler import compiler_fault
from models.engine.llama.native import api, start

_LIBRARIES: Final = "libggml-cpu"
"""How those are called that compute on the processor: one, or one for each kind of processor."""
_MAPS: Final = Path("/proc/self/maps")


def is_built_for_tiles() -> bool:
    """Whether matrix products would go to the tile unit, were they let."""
    info: bytes = api.llama_print_system_info()
    return b"AMX_INT8 = 1" in info


def tiles_fault() -> str | None:
    """Why they must not, for people; None if they may. Reads a library of some megabytes."""
    start()
    if not is_built_for_tiles():
        return "this build of llama.cpp was made for processors without AMX"
    try:
        faults = [compiler_fault(path.read_bytes()) for path in _loaded()]
    except OSError as error:
        return f"it is not known who compiled this llama.cpp: {error}"
    return next(filter(None, faults), None) if faults else "it is not known which library computes"


def _loaded() -> set[Path]:
    """Where the libraries lie that this process has loaded."""
    lines = _MAPS.read_text().splitlines()
    paths = {Path(line.split(maxsplit=5)[-1]) for line in lines if _LIBRARIES in line}
    return {path for path in paths if path.name.startswith(_LIBRARIES)}
