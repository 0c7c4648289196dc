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


def sweep(folder: Path, prefix: str, now: float) -> None:
    """Remove the workplaces of this prefix that nobody works in any more; `now` is the time of the day."""
    for leftover in folder.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):  # who owns it has ended just now, or it is not ours
            age_seconds = now - leftover.stat().st_mtime
            if age_seconds > (_GRACE_SECONDS if _is_deserted(leftover) else _STALE_SECONDS):
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
