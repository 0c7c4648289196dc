"""What a machine has for a model: memory, threads, a GPU. Pure."""

from dataclasses import dataclass
from typing import Final

from models.fit.need import PROCESS_BYTES, Need, megabytes

_THREAD_BANDWIDTH: Final = 5e9
_MOST_BANDWIDTH: Final = 40e9
_GPU_BANDWIDTH: Final = 300e9

_THREAD_PRODUCTS: Final = 45e9
_GPU_PRODUCTS: Final = 5e12
"""Parameters times tokens a second, in reading prompts."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is.

    Attributes:
        available_bytes: memory that is free, less where a cgroup says so.
        threads: that may be used.
        has_gpu: whether a GPU computes.
        gpu_bytes: free memory of the GPUs that hold the whole model; None where it lies in the machine's memory, where
            only some layers are on a GPU, or where nobody says how much there is.

    """

    available_bytes: int
    threads: int
    has_gpu: bool
    gpu_bytes: int | None = None

    @property
    def room_bytes(self) -> int:
        """Free memory where the weights and the cache go."""
        return self.available_bytes if self.gpu_bytes is None else self.gpu_bytes

    @property
    def room(self) -> str:
        """The same for people."""
        return f"{megabytes(self.room_bytes)} are free{'' if self.gpu_bytes is None else ' on the GPU'}"

    @property
    def bandwidth(self) -> float:
        """Bytes a second that weights are read with, as a guess."""
        return _GPU_BANDWIDTH if self.has_gpu else min(self.threads * _THREAD_BANDWIDTH, _MOST_BANDWIDTH)

    @property
    def products(self) -> float:
        """Parameters times tokens a second in reading prompts, as a guess."""
        return _GPU_PRODUCTS if self.has_gpu else self.threads * _THREAD_PRODUCTS

    def holds(self, need: Need, share: float = 1.0) -> bool:
        """Whether this share of the free memory is enough.

        The process is never on a GPU. What llama.cpp leaves in the machine's memory of a model that is on one (the
        table of tokens, which it reads from the file) is not counted: the kernel may take it back.
        """
        if self.gpu_bytes is None:
            return need.total_bytes <= self.available_bytes * share
        is_room_for_model = need.total_bytes - PROCESS_BYTES <= self.gpu_bytes * share
        return is_room_for_model and self.available_bytes * share >= PROCESS_BYTES
