"""What this machine has to compute with, as far as the choice of a file depends on it."""

from dataclasses import dataclass

from models.engine.memory import available_bytes
from models.engine.threads import available_threads


@dataclass(frozen=True, slots=True)
class Means:
    """What there is.

    Attributes:
        has_gpu: whether a GPU computes: it has fast kernels for all formats, and its memory is dear.
        memory_bytes: free now.
        threads: that may be used.
        uses_tiles: whether the CPU's tile unit computes.

    """

    has_gpu: bool
    memory_bytes: int
    threads: int
    uses_tiles: bool = False


def survey(gpu_layers: int | None = None, threads: int | None = None, *, uses_tiles: bool = False) -> Means:
    """Look at the machine. Loads llama.cpp, which takes a fraction of a second.

    Args:
        gpu_layers: that are to be on a GPU; None for all, if there is one.
        threads: None for as many as this process may use.
        uses_tiles: whether the CPU's tile unit is to compute.

    """
    # Only here: importing llama_cpp loads the shared library, which reads the environment.
    from models.engine import llama

    has_gpu = llama.choose_gpu_layers(gpu_layers).layers > 0
    return Means(has_gpu, available_bytes(), threads or available_threads(), uses_tiles)
