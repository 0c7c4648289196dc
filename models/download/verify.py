"""Hashing as the bytes pass by: no file is read into memory whole."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from models.catalog.entry import CatalogEntry, HubSource
from models.catalog.gguf import header_of
from models.catalog.locate import ModelFile
from models.catalog.receipt import read_receipt
from models.errors import FileCorrupt, HeaderInvalid, HeaderUnknown

CHUNK_BYTES: Final = 1 << 20

_MOST_BYTES: Final = 1 << 40
"""What nobody has said the size of is no larger than this."""


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


@dataclass(frozen=True, slots=True)
class Promise:
    """What the bytes of a file should be; None for what nobody has said.

    Attributes:
        file: its name, for messages.
        sha256: hex digest.
        size_bytes: exact.
        promiser: who says so, for messages.

    """

    file: str
    sha256: str | None
    size_bytes: int | None
    promiser: str = "the catalogue"


def promise_of(entry: CatalogEntry) -> Promise:
    """What the catalogue promises."""
    return Promise(entry.file, entry.sha256, entry.size_bytes)


def best_promise(model: ModelFile) -> Promise | None:
    """What a file can be checked against here: the catalogue's hash, else that of when it was fetched, else nothing."""
    if model.entry is None:
        return None
    if model.entry.sha256:
        return promise_of(model.entry)
    receipt = read_receipt(model.path)
    if receipt is None or not isinstance(model.entry.source, HubSource) or not receipt.is_of(model.entry.source):
        return None
    promiser = "the hub" if receipt.is_vouched_for else "nobody but its receipt"
    return Promise(model.path.name, receipt.sha256, receipt.size_bytes, promiser)


class _Nowhere:
    def write(self, data: bytes, /) -> int:
        return len(data)


def copy(source: Reader, target: Writer, limit_bytes: int | None) -> Digest:
    """Copy `source` into `target` and say what went through.

    Raises:
        FileCorrupt: `source` has more than `limit_bytes`; the rest is not read, so that a forged archive cannot fill
            the disk.

    """
    limit = _MOST_BYTES if limit_bytes is None else limit_bytes
    digest = hashlib.sha256()
    size = 0
    while data := source.read(CHUNK_BYTES):
        size += len(data)
        if size > limit:
            raise FileCorrupt(f"the file is larger than the {limit} bytes that were promised")
        digest.update(data)
        target.write(data)
    return Digest(digest.hexdigest(), size)


def check(found: Digest, promise: Promise) -> None:
    """Raise FileCorrupt unless `found` is what was promised."""
    if promise.size_bytes is not None and found.size_bytes != promise.size_bytes:
        wanted = f"{promise.size_bytes} were promised by {promise.promiser}"
        raise FileCorrupt(f"{promise.file} has {found.size_bytes} bytes where {wanted}")
    if promise.sha256 is not None and found.sha256 != promise.sha256:
        wanted = f"{promise.sha256} was promised by {promise.promiser}"
        raise FileCorrupt(f"{promise.file} has sha256 {found.sha256} where {wanted}")


def check_file(path: Path, promise: Promise) -> Digest:
    """What the file at `path` is. Raises FileCorrupt unless that was promised."""
    with path.open("rb") as file:
        found = copy(file, _Nowhere(), promise.size_bytes)
    check(found, promise)
    return found


def check_form(path: Path) -> None:
    """Raise FileCorrupt if the file at `path` is no whole GGUF file. One that is too new to be known passes."""
    try:
        header_of(path)
    except HeaderUnknown:
        return
    except HeaderInvalid as error:
        raise FileCorrupt(f"{path.name} {error}") from error
