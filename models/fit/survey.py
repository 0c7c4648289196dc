"""A look at this machine."""

from models.engine.device import free_gpu_bytes
from models.engine.memory import available_bytes
from models.engine.threads import available_threads
from models.fit.machine import Machine


def survey(gpu_layers: int | None = None) -> Machine:
    """What there is now. Loads llama.cpp, which takes a fraction of a second.

    Args:
        gpu_layers: that are to be on a GPU; None for all, if there is one.

    """
    # Only here: importing llama_cpp loads the shared library, which reads the environment.
    from models.engine import llama

    layers = llama.choose_gpu_layers(gpu_layers).layers
    gpu_bytes = free_gpu_bytes(llama.devices()) if layers == llama.ALL_LAYERS else None
    return Machine(available_bytes(), available_threads(), layers > 0, gpu_bytes)
