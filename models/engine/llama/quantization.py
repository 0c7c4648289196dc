"""A file written anew in another format, by llama.cpp. Damaged input may abort the process: have one for it."""

import ctypes
from pathlib import Path

from models.engine.llama.native import api, start
from models.errors import ConversionFailed


def quantize_to_q8_0(source: Path, target: Path, threads: int) -> None:
    """Write `source`, in whatever format, to `target` as Q8_0; takes seconds to minutes, and releases the GIL.

    Raises:
        ConversionFailed: llama.cpp could not read the one or write the other; its log says why.

    """
    start()
    params = api.llama_model_quantize_default_params()
    params.ftype = api.LLAMA_FTYPE_MOSTLY_Q8_0
    params.allow_requantize = True
    params.nthread = threads
    if api.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(params)) != 0:
        raise ConversionFailed(f"llama.cpp cannot convert {source}")
