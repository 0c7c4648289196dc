"""Which file to compute with: the model's own, or a copy in a format that is faster here, made once.

Nobody is left without a model because of it: whatever goes wrong is a warning, and the file is served as it is.
"""

import asyncio
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from models.catalog.gguf import header_of
from models.catalog.locate import ModelFile
from models.conversion.choice import Choice, Verdict, decide, fits, is_slow
from models.conversion.convert import convert
from models.conversion.means import Means
from models.conversion.naming import copy_path
from models.errors import ConversionError, HeaderInvalid

Say: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Observer:
    """Who is told.

    Attributes:
        say: takes what is done, one line at a time.
        warn: takes what could not be done and what helps, likewise.
        begin: is called before a conversion, which takes seconds to minutes.

    """

    say: Say
    warn: Say
    begin: Callable[[], None]


async def fastest_file(model: ModelFile, means: Means, observer: Observer) -> Path:
    """The file to load for `model`, whose own file is here and stays; converts it if that is worth it."""
    if means.has_gpu or (means.uses_tiles and await asyncio.to_thread(_suits_tiles, model.path)):
        return model.path
    try:
        return await _copy(model, means, observer)
    except (ConversionError, OSError) as error:
        remedy = f"start once where {model.path.parent} can be written and has room; --convert off ends this warning"
        observer.warn(f"{model.path} is slow on a CPU and served as it is: {error}; {remedy}")
        return model.path


def present_file(model: ModelFile, *, uses_tiles: bool) -> Path:
    """Which of the files that are here already a server without a GPU would load for `model`."""
    if uses_tiles and _suits_tiles(model.path):
        return model.path
    copy = copy_path(model)
    return copy if copy.is_file() else model.path


async def _copy(model: ModelFile, means: Means, observer: Observer) -> Path:
    target = await asyncio.to_thread(copy_path, model)
    if await asyncio.to_thread(target.is_file):
        return await asyncio.to_thread(_one_that_fits, target, model.path, means, observer)
    choice = await asyncio.to_thread(_choose, model.path, means.memory_bytes)
    (observer.warn if choice.verdict is Verdict.SUFFER else observer.say)(str(choice))
    if choice.verdict is not Verdict.CONVERT:
        return model.path
    observer.begin()
    started_at = time.monotonic()
    await convert(model.path, target, means.threads, observer.say)
    observer.say(f"converted once, in {time.monotonic() - started_at:.1f} s, into {target}")
    return target


def _one_that_fits(copy: Path, original: Path, means: Means, observer: Observer) -> Path:
    """The copy, unless memory is too short for it: it may come from a larger machine."""
    if fits(copy.stat().st_size, means.memory_bytes):
        observer.say(f"weights: the converted copy {copy}")
        return copy
    observer.warn(f"weights: as they are, and slow (the converted copy {copy} would take over half of the free memory)")
    return original


def _suits_tiles(path: Path) -> bool:
    try:
        return not is_slow(header_of(path), uses_tiles=True)
    except (HeaderInvalid, OSError):  # whoever loads it says what is wrong with it
        return True


def _choose(path: Path, memory_bytes: int) -> Choice:
    try:
        header = header_of(path)
    except HeaderInvalid as error:  # whoever loads it says what is wrong with it
        return Choice(Verdict.KEEP, f"the file {error}")
    free_bytes = shutil.disk_usage(path.parent).free
    return decide(header, str(path.parent), memory_bytes=memory_bytes, disk_bytes=free_bytes)
