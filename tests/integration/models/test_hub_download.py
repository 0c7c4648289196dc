"""Models from a hub, over real HTTP, in the processes that fetch them for users."""

import asyncio
import functools
import random
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from models.catalog.entry import CatalogEntry, HubSource
from models.catalog.locate import file_of
from models.catalog.receipt import read_receipt
from models.download.pull import pull
from models.download.verify import best_promise
from models.errors import DownloadFailed, FileCorrupt
from tests.fakes.hub import COMMIT, Hub, running
from tests.unit.models.gguf_file import gguf_file

pytestmark = pytest.mark.slow

REPO: Final = "somebody/Some-Model-GGUF"
FILE: Final = "some-model-q8_0.gguf"
PATH: Final = f"{REPO}/resolve/main/{FILE}"

SAVED: Final = 10 << 20
"""huggingface_hub writes pieces of this size: what came behind the last one is lost with a connection."""

ENTRY: Final = CatalogEntry(
    name="some-model", file="some-model.gguf", source=HubSource(REPO, FILE), temperature=0.7, top_p=0.9
)


@functools.cache
def contents() -> bytes:
    rows = 24 * 2**20 // 34
    whole = gguf_file({"general.architecture": "llama"}, [("Q8_0", (32, rows))])
    numbers = random.Random(1).randbytes(rows * 34)
    return whole[: -len(numbers)] + numbers


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    for name in (
        "HF_TOKEN",
        "HF_HUB_DISABLE_TELEMETRY",
        "HF_HUB_OFFLINE",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf-home"))
    with running(Hub({PATH: contents()})) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


async def fetch(folder: Path, entry: CatalogEntry = ENTRY) -> list[str]:
    """What was said."""
    said: list[str] = []
    await pull(entry, folder, said.append)
    return said


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def kept(folder: Path) -> list[int]:
    """The sizes of what is kept to be gone on with."""
    return [path.stat().st_size for path in folder.glob(".hub-*/part.gguf")]


async def test_file_is_fetched_verified_and_placed_with_its_receipt(hub: Hub, folder: Path) -> None:
    said = await fetch(folder)
    assert (folder / ENTRY.file).read_bytes() == contents()
    assert names(folder) == [ENTRY.file, f"{ENTRY.file}.receipt.json"]
    receipt = read_receipt(folder / ENTRY.file)
    assert receipt is not None
    assert (receipt.commit, receipt.is_vouched_for) == (COMMIT, True)
    assert any("which the hub told" in line for line in said)


async def test_once_fetched_the_hub_is_not_asked_again(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await fetch(folder)
    hub.tokens.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    await fetch(folder)
    assert hub.tokens == []
    assert file_of(ENTRY, folder).is_present


async def test_cut_connection_is_gone_on_behind(hub: Hub, folder: Path) -> None:
    hub.cuts = [SAVED + 5]
    await fetch(folder)
    assert hub.asked == ["", f"bytes={SAVED}-"]
    assert (folder / ENTRY.file).read_bytes() == contents()


async def test_next_pull_goes_on_where_a_failed_one_was(hub: Hub, folder: Path) -> None:
    hub.cuts = [SAVED + 5]
    hub.may_go_on.clear()
    broken = asyncio.create_task(fetch(folder))
    await asyncio.to_thread(hub.has_begun.wait, 30)
    hub.refuses_contents = (503, "")
    hub.may_go_on.set()
    with pytest.raises(DownloadFailed, match=r"answered 503.*pull again"):
        await broken
    assert kept(folder) == [SAVED]
    hub.refuses_contents = None
    hub.asked.clear()
    said = await fetch(folder)
    assert hub.asked == [f"bytes={SAVED}-"]
    assert f"going on behind {SAVED} bytes that are here" in said
    assert (folder / ENTRY.file).read_bytes() == contents()


async def test_cancelled_pull_ends_at_once_and_places_nothing(hub: Hub, folder: Path) -> None:
    hub.may_go_on.clear()
    task = asyncio.create_task(fetch(folder))
    await asyncio.to_thread(hub.has_begun.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not (folder / ENTRY.file).exists()


async def test_two_pulls_at_once_fetch_it_once(hub: Hub, folder: Path) -> None:
    await asyncio.gather(fetch(folder), fetch(folder))
    assert hub.asked == [""]
    assert (folder / ENTRY.file).read_bytes() == contents()


async def test_wrong_bytes_are_refused_and_removed(hub: Hub, folder: Path) -> None:
    hub.promised_sha256 = "a" * 64
    with pytest.raises(FileCorrupt, match="promised by the hub: it was removed"):
        await fetch(folder)
    assert names(folder) == []


async def test_other_file_than_the_catalogue_promises_is_not_even_fetched(hub: Hub, folder: Path) -> None:
    entry = CatalogEntry(**{**_fields(ENTRY), "sha256": "b" * 64})
    with pytest.raises(FileCorrupt, match="check sha256"):
        await fetch(folder, entry)
    assert hub.asked == []


def _fields(entry: CatalogEntry) -> dict[str, object]:
    return {name: getattr(entry, name) for name in CatalogEntry.__slots__}


async def test_file_that_is_no_gguf_is_refused_and_removed(hub: Hub, folder: Path) -> None:
    hub.files[PATH] = b"<html>a page</html>"
    with pytest.raises(FileCorrupt, match="not a GGUF file"):
        await fetch(folder)
    assert names(folder) == []


async def test_hash_that_the_hub_does_not_tell_is_said_to_be_missing(hub: Hub, folder: Path) -> None:
    hub.promised_sha256 = ""
    said = await fetch(folder)
    assert any("only the size was verified" in line for line in said)
    promise = best_promise(file_of(ENTRY, folder))
    assert promise is not None
    assert promise.promiser == "nobody but its receipt"


@pytest.mark.parametrize(
    ("refusal", "remedy"),
    [
        ((404, "EntryNotFound"), f"has no file {FILE} in main"),
        ((404, "RevisionNotFound"), "has no revision main"),
        ((401, "RepoNotFound"), "set HF_TOKEN if it is private"),
        ((403, "GatedRepo"), "accept its terms at"),
        ((500, ""), "answered 500"),
    ],
)
async def test_refusal_is_explained_with_a_remedy(
    hub: Hub, folder: Path, refusal: tuple[int, str], remedy: str
) -> None:
    hub.refusal = refusal
    with pytest.raises(DownloadFailed, match=remedy) as failed:
        await fetch(folder)
    assert "\n" not in str(failed.value)


async def test_token_is_shown_to_the_hub_and_to_nobody_else(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.elsewhere = True
    await fetch(folder)
    assert hub.tokens == [(PATH, "Bearer hf_secret"), (f"cdn/{PATH}", None)]


async def test_disk_without_room_is_noticed_before_anything_is_fetched(hub: Hub, folder: Path) -> None:
    hub.promised_bytes = 1 << 60
    with pytest.raises(DownloadFailed, match="make room"):
        await fetch(folder)
    assert hub.asked == []


async def test_offline_mode_is_named(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadFailed, match="HF_HUB_OFFLINE is set"):
        await fetch(folder)


async def test_hub_that_is_not_there_is_named(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DownloadFailed, match=r"http://127\.0\.0\.1:9 cannot be reached"):
        await fetch(folder)


def test_full_disk_leaves_nothing_that_could_be_loaded(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    (folder / "catalog.yaml").write_text(f"models:\n  mine:\n    hub: {{repo: {REPO}, file: {FILE}}}\n")
    monkeypatch.setenv("HOTSPARE_MODELS", str(folder))
    full = _pull_within(SAVED + 5)
    assert full.returncode == 3
    assert "no room for" in full.stderr
    assert not (folder / "mine.gguf").exists()
    assert _pull_within(resource.RLIM_INFINITY).returncode == 0
    assert (folder / "mine.gguf").read_bytes() == contents()


def _pull_within(file_bytes: int) -> subprocess.CompletedProcess[str]:
    """Pull where no file can become larger."""
    return subprocess.run(
        [sys.executable, "-m", "models", "pull", "mine", "--convert", "off"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, resource.RLIM_INFINITY)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
