"""What can be done for a model that is not loaded yet, so that it loads fast when it is wanted."""

import importlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from models.engine.memory import available_bytes

_log = logging.getLogger(__name__)

_BLOCK_BYTES: Final = 4 << 20


def prepare(path: Path, is_enough: Callable[[], bool]) -> None:
    """Load the library, and bring the file into the page cache. Takes seconds; ends early when that is enough."""
    importlib.import_module("models.engine.llama")  # the import is what takes the time; nothing of it is needed here
    try:
        _read(path, is_enough)
    except OSError as error:  # whoever loads it says what is wrong with it
        _log.debug("%s cannot be read ahead: %s", path, error.strerror)


def _read(path: Path, is_enough: Callable[[], bool]) -> None:
    size_bytes = path.stat().st_size
    if size_bytes > available_bytes():
        _log.info("%s is larger than the free memory: it is not read ahead", path)
        return
    block = bytearray(_BLOCK_BYTES)
    with path.open("rb", buffering=0) as file:
        while not is_enough() and file.readinto(block):
            pass
