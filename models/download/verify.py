"""Hashing as the bytes pass by: no file is read into memory whole."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from models.catalog.entry import CatalogEntry
from models.errors import FileCorrupt

CHUNK_BYTES: Final = 1 << 20


class Reader(Protocol):
    """Anything that gives bytes: an open file, a member of a zip archive."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, empty at the end."""


class Writer(Protocol):
    """Anything that takes bytes."""

    def write(self, data: bytes, /) -> int:
        """Write all of `data`."""


@dataclass(frozen=True, slots=True)
class Digest:
    """What a run of bytes turned out to be."""

    sha256: str
    size_bytes: int


class _Nowhere:
    def write(self, data: bytes, /) -> int:
        return len(data)


def copy(source: Reader, target: Writer, limit_bytes: int) -> Digest:
    """Copy `source` into `target` and say what went through.

    Raises:
        FileCorrupt: `source` has more than `limit_bytes`; the rest is not read, so that a forged archive cannot fill
            the disk.

    """
    digest = hashlib.sha256()
    size = 0
    while data := source.read(CHUNK_BYTES):
        size += len(data)
        if size > limit_bytes:
            raise FileCorrupt(f"the file is larger than the {limit_bytes} bytes that the catalogue promises")
        digest.update(data)
        target.write(data)
    return Digest(digest.hexdigest(), size)


def check(found: Digest, entry: CatalogEntry) -> None:
    """Raise FileCorrupt unless `found` is what the catalogue promises for `entry`."""
    if found.size_bytes != entry.size_bytes:
        raise FileCorrupt(f"{entry.file} has {found.size_bytes} bytes where {entry.size_bytes} were promised")
    if found.sha256 != entry.sha256:
        raise FileCorrupt(f"{entry.file} has sha256 {found.sha256} where {entry.sha256} was promised")


def check_file(path: Path, entry: CatalogEntry) -> None:
    """Raise FileCorrupt unless the file at `path` is the one that the catalogue promises."""
    with path.open("rb") as file:
        check(copy(file, _Nowhere(), entry.size_bytes), entry)
