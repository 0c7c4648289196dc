"""Intel's tile unit (AMX), which multiplies matrices two to four times as fast: whether this build may use it."""

from pathlib import Path
from typing import Final

from models.engine.compiler import compiler_fault
from models.engine.llama.native import api, ggml

_LIBRARY: Final = "libggml-cpu.so"


def is_built_for_tiles() -> bool:
    """Whether matrix products would go to the tile unit, were they let."""
    info: bytes = api.llama_print_system_info()
    return b"AMX_INT8 = 1" in info


def tiles_fault() -> str | None:
    """Why they must not, for people; None if they may. Reads a library of some megabytes."""
    if not is_built_for_tiles():
        return "this build of llama.cpp was made for processors without AMX"
    path = Path(ggml._name).with_name(_LIBRARY)  # noqa: SLF001 - what ctypes calls the path it has loaded
    try:
        return compiler_fault(path.read_bytes())
    except OSError as error:
        return f"who compiled {path} is not known: {error.strerror}"
