"""llama.cpp's C API as this package uses it, and what is global to a process: its log and its set-up."""

import ctypes
import logging
from typing import Any, Final, TypeAlias

import llama_cpp.llama_cpp as api
from llama_cpp._ggml import libggml as ggml

__all__ = ["Handle", "api", "ggml", "start"]

_log = logging.getLogger(__name__)

# An opaque C pointer, structure or type of ctypes.
Handle: TypeAlias = Any

_PYTHON_LEVELS: Final = {4: logging.ERROR}  # its warnings are notes on the file that nobody here can act upon


def _forward(level: int, text: bytes, _data: object) -> None:
    if line := text.decode(errors="replace").strip():
        _log.log(_PYTHON_LEVELS.get(level, logging.DEBUG), "llama.cpp: %s", line)


# llama.cpp keeps the bare pointer: the callback must live as long as the process.
_LOG_CALLBACK: Final = api.llama_log_callback(_forward)


def start() -> None:
    """Set llama.cpp up; may be called again."""
    api.llama_log_set(_LOG_CALLBACK, ctypes.c_void_p(0))
    api.llama_backend_init()
