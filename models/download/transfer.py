"""One file from the hub to its place, as fast as the hub gives it; blocks. Runs in a process of its own.

What has come lies in a folder that is named after the contents, beside the file's place: whoever is cut off, killed or
out of room leaves it there, and the next one asks the hub for the rest. (huggingface_hub's own download begins anew in
each process.) Only what has the promised hash gets to its place; what has another is removed.

HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE and the variables for proxies and certificates mean here what they mean to
huggingface_hub, which reads them.
"""

import hashlib
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias
from urllib.parse import urlsplit

import httpx2
import msgspec
from huggingface_hub import get_hf_file_metadata, get_token, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.file_download import http_get

from models.catalog.entry import HubSource
from models.catalog.receipt import Receipt, read_receipt, receipt_path
from models.download.hub_fault import explain
from models.download.job import Job
from models.download.verify import Promise, check_file, check_form
from models.download.workplace import KEPT_SECONDS, kept_workplace, sweep
from models.errors import DownloadFailed, FileCorrupt

Say: TypeAlias = Callable[[str], None]

PREFIX: Final = ".hub-"

_PART: Final = "part.gguf"
_KEY_DIGITS: Final = 16
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_PROGRESS_SECONDS: Final = 10.0

_SPARE_BYTES: Final = 1 << 20
"""For the receipt, and for what else is written on a disk."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What the hub says of a file.

    Attributes:
        commit: that it belongs to.
        etag: names its contents; the SHA-256 of every large file.
        size_bytes: exact.
        url: where its bytes are.
        headers: to ask for them with.

    """

    commit: str
    etag: str
    size_bytes: int
    url: str
    headers: dict[str, str]

    @property
    def sha256(self) -> str | None:
        return self.etag if _SHA256.fullmatch(self.etag) else None

    @property
    def key(self) -> str:
        return hashlib.sha256(self.etag.encode()).hexdigest()[:_KEY_DIGITS]


def fetch(job: Job, say: Say) -> str:
    """Fetch, verify and place a file; returns what it was checked against, for people.

    Raises:
        DownloadFailed: it cannot be fetched or written.
        FileCorrupt: other bytes came than were promised, or no GGUF file.

    """
    try:
        return _fetch(job, say)
    except (httpx2.HTTPError, HfHubHTTPError, ValueError, OSError) as error:
        raise DownloadFailed(explain(error, job)) from error


def _fetch(job: Job, say: Say) -> str:
    found = _ask(job)
    _compare(job, found)
    target = Path(job.target)
    sweep(target.parent, PREFIX, time.time(), KEPT_SECONDS)
    with kept_workplace(target.parent, PREFIX + found.key) as place:
        if not _is_done(job, found):  # by whoever was in this place before us
            part = place / _PART
            _check_room(part, found)
            _download(found, part, say)
            _put(part, target, _verify(part, job, found))
    return _evidence(job, found)


def _ask(job: Job) -> _Found:
    url = hf_hub_url(job.repo, job.file, revision=job.revision)
    token = get_token()
    told = get_hf_file_metadata(url, token=token or False)
    if told.commit_hash is None or told.etag is None or told.size is None:
        raise DownloadFailed(f"{urlsplit(url).netloc} does not answer as a hub does: check HF_ENDPOINT and proxies")
    # A signed address elsewhere wants no token, and must not see ours.
    is_at_hub = urlsplit(told.location).netloc == urlsplit(url).netloc
    headers = {"authorization": f"Bearer {token}"} if token and is_at_hub else {}
    return _Found(told.commit_hash, told.etag, told.size, told.location, headers)


def _compare(job: Job, found: _Found) -> None:
    """Find out before gigabytes have come that they are the wrong ones."""
    remedy = "check sha256, size_bytes and revision in the catalogue"
    if job.size_bytes not in {None, found.size_bytes}:
        raise FileCorrupt(f"the hub has {found.size_bytes} bytes where {job.size_bytes} were promised: {remedy}")
    if job.sha256 and found.sha256 and job.sha256 != found.sha256:
        raise FileCorrupt(f"the hub has sha256 {found.sha256} where {job.sha256} was promised: {remedy}")


def _is_done(job: Job, found: _Found) -> bool:
    target = Path(job.target)
    receipt = read_receipt(target)
    if receipt is None or receipt.commit != found.commit or not receipt.is_of(_source(job)):
        return False
    try:
        check_file(target, Promise(target.name, job.sha256 or found.sha256 or receipt.sha256, found.size_bytes))
    except (FileCorrupt, OSError):
        return False
    return True


def _source(job: Job) -> HubSource:
    return HubSource(job.repo, job.file, job.revision)


def _check_room(part: Path, found: _Found) -> None:
    here = part.stat().st_size if part.exists() else 0
    needed = found.size_bytes - here + _SPARE_BYTES
    free = shutil.disk_usage(part.parent).free
    if needed > free:
        raise DownloadFailed(
            f"{part.parent.parent} has {free / 1e6:.0f} MB free where {needed / 1e6:.0f} MB are needed: "
            "make room, or set HOTSPARE_MODELS to a folder with room"
        )


def _download(found: _Found, part: Path, say: Say) -> None:
    if part.exists() and part.stat().st_size > found.size_bytes:  # nobody can go on behind that
        part.unlink()
    with part.open("ab") as file, _progress(part, found.size_bytes, say):
        if file.tell():
            say(f"going on behind {file.tell()} bytes that are here")
        while not _is_whole(found, file):
            pass
        file.flush()
        os.fsync(file.fileno())


def _is_whole(found: _Found, file: BinaryIO) -> bool:
    """Ask for what is missing; False if that broke off after something had come.

    huggingface_hub goes on by itself behind a cut, but not behind a reset, nor where the file ends too early.
    """
    before = file.tell()
    try:
        http_get(found.url, file, resume_size=before, headers=found.headers, expected_size=found.size_bytes)
    except httpx2.TransportError:
        if file.tell() == before:  # no mere hiccup
            raise
    return file.tell() >= found.size_bytes


@contextmanager
def _progress(part: Path, size_bytes: int, say: Say) -> Iterator[None]:
    """Tell now and then how much is here."""
    is_over = threading.Event()

    def tell() -> None:
        while not is_over.wait(_PROGRESS_SECONDS):
            say(f"downloaded {part.stat().st_size / 1e6:.0f} of {size_bytes / 1e6:.0f} MB")

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _verify(part: Path, job: Job, found: _Found) -> Receipt:
    """Hash what has come; what is wrong is removed, for nobody can go on with it."""
    name = Path(job.target).name
    promiser = "the catalogue" if job.sha256 else "the hub"
    try:
        digest = check_file(part, Promise(name, job.sha256 or found.sha256, found.size_bytes, promiser))
        check_form(part)
    except FileCorrupt as error:
        part.unlink()
        raise FileCorrupt(f"{error}: it was removed; pull again, and if that does not help ask {job.repo}") from error
    return Receipt(
        repo=job.repo,
        file=job.file,
        revision=job.revision,
        commit=found.commit,
        size_bytes=digest.size_bytes,
        sha256=digest.sha256,
        is_vouched_for=bool(job.sha256 or found.sha256),
    )


def _put(part: Path, target: Path, receipt: Receipt) -> None:
    """Receipt first: see `models.catalog.receipt`."""
    draft = part.with_name("receipt.json")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(receipt)))
    draft.replace(receipt_path(target))
    part.replace(target)


def _evidence(job: Job, found: _Found) -> str:
    if job.sha256:
        return f"verified sha256 {job.sha256}, which the catalogue promises"
    if found.sha256:
        return f"verified sha256 {found.sha256}, which the hub told; the catalogue knows none"
    return f"only the size was verified, {found.size_bytes} bytes: neither the catalogue nor the hub tells a sha256"
