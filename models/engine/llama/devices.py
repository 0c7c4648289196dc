"""The devices that this build of llama.cpp finds, as ggml lists them: llama-cpp-python does not declare these calls."""

import ctypes
from typing import Final

from models.engine.device import Device, DeviceKind
from models.engine.llama.native import ggml

_KINDS: Final = {1: DeviceKind.GPU, 2: DeviceKind.SHARING_GPU}
"""`enum ggml_backend_dev_type` of ggml-backend.h."""

_count: Final = ggml.ggml_backend_dev_count
_count.restype = ctypes.c_size_t
_get: Final = ggml.ggml_backend_dev_get
_get.argtypes, _get.restype = [ctypes.c_size_t], ctypes.c_void_p
_type: Final = ggml.ggml_backend_dev_type
_type.argtypes, _type.restype = [ctypes.c_void_p], ctypes.c_int
_memory: Final = ggml.ggml_backend_dev_memory
_memory.argtypes, _memory.restype = [ctypes.c_void_p, *[ctypes.POINTER(ctypes.c_size_t)] * 2], None


def devices() -> list[Device]:
    """What there is now; asks the drivers, which sets a GPU up."""
    return [_device(_get(index)) for index in range(_count())]


def _device(handle: int) -> Device:
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    _memory(handle, ctypes.byref(free), ctypes.byref(total))
    return Device(_KINDS.get(_type(handle), DeviceKind.OTHER), free.value, total.value)
