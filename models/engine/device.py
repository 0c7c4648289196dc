"""What a build of llama.cpp computes with, and how much memory that has. Pure; `models.engine.llama.devices` looks."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto


class DeviceKind(Enum):
    """What a device is."""

    GPU = auto()
    """With memory of its own, or a part of the machine's set aside for it."""
    SHARING_GPU = auto()
    """One that takes the machine's memory as it needs it. llama.cpp uses it only where there is no other."""
    OTHER = auto()
    """The processor, or what helps it."""


@dataclass(frozen=True, slots=True)
class Device:
    """One device.

    Attributes:
        kind: what it is.
        free_bytes: of its memory.
        total_bytes: 0 if its driver does not say.

    """

    kind: DeviceKind
    free_bytes: int
    total_bytes: int


def free_gpu_bytes(devices: Iterable[Device]) -> int | None:
    """How much memory is free on the GPUs over which llama.cpp spreads a model.

    None if that is no other than the machine's: there is no GPU, or one that shares. None also if one does not say.
    """
    gpus = [device for device in devices if device.kind is DeviceKind.GPU]
    if not gpus or not all(gpu.total_bytes for gpu in gpus):
        return None
    return sum(gpu.free_bytes for gpu in gpus)
