"""A folder for a file that is not complete yet, beside the place where it will lie, so that one rename puts it there.

It is locked by the process that works in it. Whoever is killed leaves its folder behind, but no lock: the next one
sweeps it away.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

# A folder is made first and locked then; what is younger may be just in between.
_GRACE_SECONDS: Final = 60.0

# Half a file is gone on with for so long.
KEPT_SECONDS: Final = 7 * 86_400.0

# Where the file system knows no locks nobody can be asked. A day is longer than any work that still goes on.
_STALE_SECONDS: Final = 86_400.0


@contextlib.contextmanager
def workplace(folder: Path, prefix: str) -> Iterator[Path]:
    """A new folder in `folder`, gone at the end with all that is still in it.

    Raises:
        OSError: `folder` cannot be written.

    """
    with tempfile.TemporaryDirectory(prefix=prefix, dir=folder, ignore_cleanup_errors=True) as name:
        descriptor = os.open(name, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):  # no locks here: it is told by its age
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield Path(name)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def kept_workplace(folder: Path, name: str) -> Iterator[Path]:
    """The folder of this name in `folder`, which outlives a failure: who comes next goes on with what is in it.

    Waits for whoever works in it. At the end it is gone if nothing was left in it.

    Raises:
        OSError: `folder` cannot be written.

    """
    place = folder / name
    descriptor = _enter(place)
    try:
        yield place
    finally:
        with contextlib.suppress(OSError):  # there is something in it
            place.rmdir()
        os.close(descriptor)


def _enter(place: Path) -> int:
    while True:
        with contextlib.suppress(FileExistsError):  # exist_ok would look again, when it may be gone
            place.mkdir()
        try:
            descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:  # whoever was in it has ended just now
            continue
        with contextlib.suppress(OSError):  # no locks here: two would do the same work twice, and find out at the end
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if _is_at(descriptor, place):
            os.utime(place)
            return descriptor
        os.close(descriptor)


def _is_at(descriptor: int, place: Path) -> bool:
    """Whether the folder that we wait at is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), place.stat())
    except FileNotFoundError:
        return False


def sweep(folder: Path, prefix: str, now: float, grace_seconds: float = _GRACE_SECONDS) -> None:
    """Remove the workplaces of this prefix that nobody works in any more.

    Args:
        folder: that they lie in.
        prefix: of their names.
        now: the time of the day.
        grace_seconds: younger ones stay.

    """
    for leftover in folder.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):  # who owns it has ended just now, or it is not ours
            age_seconds = now - leftover.stat().st_mtime
            if age_seconds > (grace_seconds if _is_deserted(leftover) else max(grace_seconds, _STALE_SECONDS)):
                shutil.rmtree(leftover, ignore_errors=True)


def _is_deserted(place: Path) -> bool:
    """Whether nobody holds its lock, for certain."""
    descriptor = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
