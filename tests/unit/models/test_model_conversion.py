import dataclasses
import fcntl
import io
import os
import struct
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.catalog.catalog import CATALOG, DEFAULT_MODEL
from models.catalog.gguf import Header, read_header
from models.catalog.locate import ModelFile, resolve
from models.conversion.choice import Verdict, decide
from models.conversion.fastest import Observer, fastest_file
from models.conversion.means import Means
from models.conversion.naming import copy_path, outdated
from models.download.workplace import KEPT_SECONDS, kept_workplace, sweep, workplace
from models.errors import HeaderInvalid, HeaderUnknown
from tests.unit.models.gguf_file import gguf_file, tensor, text

MEGABYTE = 10**6
NOBODY = 65_534
SLOW = gguf_file({"general.architecture": "llama"}, [("Q4_1", (32, 64)), ("F32", (32,))])
SLOW_ON_TILES = gguf_file({"general.architecture": "llama"}, [("Q5_0", (32, 64)), ("F32", (32,))])
FAST = gguf_file({"general.architecture": "llama"}, [("Q4_K", (256, 64)), ("Q4_1", (32, 64))])


def header(data: bytes) -> Header:
    return read_header(io.BytesIO(data))


def head(tensors: int, values: int, rest: bytes = b"", version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, values) + rest


def array(kind: int, count: int) -> bytes:
    return text("a") + struct.pack("<IIQ", 9, kind, count)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "cut off"),
        (b"GGML" + bytes(40), "not a GGUF file"),
        (head(0, 0, version=1), "version 1"),
        (head(0, 0, version=0x03000000), "not known here"),
        (head(2**63, 0), "which no model has"),
        (head(0, 2**63), "which no model has"),
        (head(0, 1, struct.pack("<Q", 2**63)), "a name of"),
        (head(0, 1, text("a") + struct.pack("<I", 77)), "a value of type 77"),
        (head(0, 1, text("a") + struct.pack("<IQ", 8, 2**64 - 1)), "cut off"),
        (head(0, 1, array(4, 2**64 - 1)), "cut off"),
        (head(0, 1, array(8, 2**64 - 1)), "which no model has"),
        (head(0, 1, array(8, 2**20)), "cut off"),
        (head(0, 1, array(9, 1)), "a value of type 9"),
        (head(0, 1, text("general.alignment") + struct.pack("<II", 4, 0)), "aligned to 0"),
        (head(1, 0, tensor("t", 0, (), 0)), "0 dimensions"),
        (head(1, 0, tensor("t", 0, (1, 1, 1, 1, 1), 0)), "5 dimensions"),
        (head(1, 0, tensor("t", 0, (2**63, 2**63), 0)), "numbers in F32"),
        (head(1, 0, tensor("t", 0, (0,), 0)), "numbers in F32"),
        (head(1, 0, tensor("t", 8, (33,), 0)), "numbers in Q8_0"),
        (head(1, 0, tensor("t", 4, (32,), 0)), "a tensor of type 4"),
        (head(1, 0, tensor("t", 0, (1,), 2**64 - 1)), "go on behind its end"),
    ],
)
def test_hostile_header_is_refused_by_name(data: bytes, what: str) -> None:
    with pytest.raises(HeaderInvalid, match=what):
        header(data)


def test_second_version_is_read_too() -> None:
    assert header(head(1, 0, tensor("t", 24, (1,), 0), version=2) + bytes(64)).tensors[0].format == "I8"


def test_whole_numbers_and_lengths_of_lists_are_kept() -> None:
    values = {"general.architecture": "llama", "n": 7, "few": [1, 2], "many": [0] * 2000, "texts": ["a"] * 3}
    found = header(gguf_file(values, []))
    assert (found.architecture, found.numbers, found.arrays) == ("llama", {"n": 7}, {"few": (1, 2)})
    assert found.counts == {"few": 2, "many": 2000, "texts": 3}


@pytest.mark.parametrize("data", [head(0, 0, version=4), head(1, 0, tensor("t", 4, (32,), 0))])
def test_what_is_too_new_to_be_known_is_told_apart(data: bytes) -> None:
    with pytest.raises(HeaderUnknown):
        header(data)


def test_architecture_with_an_endless_name_is_refused() -> None:
    with pytest.raises(HeaderInvalid, match="whose name has 65 bytes"):
        header(gguf_file({"general.architecture": "a" * 65}, []))


def test_other_alignment_moves_the_numbers() -> None:
    values = head(0, 1, text("general.alignment") + struct.pack("<II", 4, 1024))
    assert header(values + bytes(1024)).head_bytes == 1024


def test_vocabulary_larger_than_a_block_is_passed_over() -> None:
    tokens = [f"token {number}" for number in range(50_000)]
    assert header(gguf_file({"tokens": tokens}, [("Q8_0", (32,))])).head_bytes > 500_000


@pytest.mark.parametrize(
    ("data", "memory", "disk", "verdict", "reason"),
    [
        (SLOW, MEGABYTE, MEGABYTE, Verdict.CONVERT, "mostly Q4_1, slow on a CPU; 0 MB become 0 MB"),
        (FAST, MEGABYTE, MEGABYTE, Verdict.KEEP, "mostly Q4_K"),
        (head(0, 0, bytes(8)), MEGABYTE, MEGABYTE, Verdict.KEEP, "no weights"),
        (SLOW, 4000, MEGABYTE, Verdict.SUFFER, "a file in Q4_0 or Q4_K would be fast"),
        (SLOW, MEGABYTE, 100, Verdict.SUFFER, "/m has 100 bytes free where 2464 are needed"),
    ],
)
def test_choice_is_made_and_argued(data: bytes, memory: int, disk: int, verdict: Verdict, reason: str) -> None:
    choice = decide(header(data), "/m", memory_bytes=memory, disk_bytes=disk)
    assert choice.verdict is verdict
    assert reason in str(choice)


def test_copy_of_a_catalogue_model_is_named_after_its_hash(tmp_path: Path) -> None:
    entry = CATALOG[DEFAULT_MODEL]
    other = dataclasses.replace(entry, sha256="0" * 64)
    names = {copy_path(ModelFile(entry.name, tmp_path / entry.file, each)).name for each in (entry, other)}
    stem = "SmolLM2-135M-Instruct.Q4_1.Q8_0-of-"
    assert names == {f"{stem}{entry.sha256[:12]}.gguf", f"{stem}{'0' * 12}.gguf"}


def test_copy_of_a_file_is_another_when_the_file_changes(tmp_path: Path) -> None:
    file = tmp_path / "own.gguf"
    file.write_bytes(SLOW)
    before = copy_path(resolve(str(file), tmp_path))
    os.utime(file, ns=(0, 1))
    after = copy_path(resolve(str(file), tmp_path))
    assert before != after
    assert outdated(after, [before.name, after.name, "own.gguf", "own.Q8_0-of-mine.gguf"]) == [before.name]


def test_workplace_is_gone_afterwards(tmp_path: Path) -> None:
    with workplace(tmp_path, ".some-") as place:
        (place / "half").write_bytes(b"half")
    assert list(tmp_path.iterdir()) == []


def test_deserted_workplace_is_swept_and_one_that_is_worked_in_is_not(tmp_path: Path) -> None:
    deserted = tmp_path / ".some-deserted"
    deserted.mkdir()
    with workplace(tmp_path, ".some-") as place:
        for each in (deserted, place):
            os.utime(each, (0, 0))
        sweep(tmp_path, ".some-", 3600.0)
        assert [path.name for path in tmp_path.iterdir()] == [place.name]


def test_kept_workplace_outlives_its_work_until_it_is_empty(tmp_path: Path) -> None:
    with kept_workplace(tmp_path, ".kept") as place:
        (place / "half").touch()
    with kept_workplace(tmp_path, ".kept") as place:
        (place / "half").unlink()  # was kept
    assert list(tmp_path.iterdir()) == []


def test_kept_workplace_is_waited_for(tmp_path: Path) -> None:
    entered: list[int] = []

    def work(number: int) -> None:
        with kept_workplace(tmp_path, ".kept") as place:
            (place / "mine").touch(exist_ok=False)  # nobody else is in it
            entered.append(number)
            (place / "mine").unlink()

    with kept_workplace(tmp_path, ".kept"):
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        assert entered == []
    for thread in threads:
        thread.join(10)
    assert sorted(entered) == [0, 1, 2, 3]
    assert list(tmp_path.iterdir()) == []


def test_half_a_file_is_swept_only_when_nobody_has_come_back_for_long(tmp_path: Path) -> None:
    half = tmp_path / ".kept-1"
    half.mkdir()
    now = half.stat().st_mtime
    sweep(tmp_path, ".kept-", now + KEPT_SECONDS - 10, KEPT_SECONDS)
    assert half.exists()
    sweep(tmp_path, ".kept-", now + KEPT_SECONDS + 10, KEPT_SECONDS)
    assert not half.exists()


def test_new_workplace_is_left_alone_before_it_is_locked(tmp_path: Path) -> None:
    new = tmp_path / ".some-new"
    new.mkdir()
    sweep(tmp_path, ".some-", new.stat().st_mtime + 1.0)
    assert new.is_dir()


def test_workplace_that_cannot_be_asked_is_swept_after_a_day(tmp_path: Path) -> None:
    held = tmp_path / ".some-held"
    held.mkdir()
    descriptor = os.open(held, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    sweep(tmp_path, ".some-", held.stat().st_mtime + 90_000.0)
    os.close(descriptor)
    assert not held.exists()


class Heard:
    """What an observer was told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []
        self.observer = Observer(self.said.append, self.warned.append, lambda: self.said.append("begin"))


def means(has_gpu: bool = False, memory_bytes: int = 10**9, uses_tiles: bool = False) -> Means:
    return Means(has_gpu=has_gpu, memory_bytes=memory_bytes, threads=1, uses_tiles=uses_tiles)


@pytest.fixture
def own(tmp_path: Path) -> ModelFile:
    file = tmp_path / "own.gguf"
    file.write_bytes(SLOW)
    return resolve(str(file), tmp_path)


async def test_gpu_takes_the_file_as_it_is(own: ModelFile) -> None:
    copy_path(own).write_bytes(b"copy")
    heard = Heard()
    assert await fastest_file(own, means(has_gpu=True), heard.observer) == own.path
    assert (heard.said, heard.warned) == ([], [])


async def test_tiles_take_the_file_as_it_is(own: ModelFile) -> None:
    copy_path(own).write_bytes(b"copy")
    heard = Heard()
    assert await fastest_file(own, means(uses_tiles=True), heard.observer) == own.path


async def test_tiles_want_a_copy_of_what_they_cannot_compute_with(own: ModelFile) -> None:
    own.path.write_bytes(SLOW_ON_TILES)
    copy = copy_path(own)
    copy.write_bytes(b"copy")
    heard = Heard()
    assert await fastest_file(own, means(uses_tiles=True), heard.observer) == copy


async def test_copy_that_is_there_is_taken(own: ModelFile) -> None:
    copy = copy_path(own)
    copy.write_bytes(b"copy")
    heard = Heard()
    assert await fastest_file(own, means(), heard.observer) == copy
    assert "begin" not in heard.said


async def test_copy_from_a_larger_machine_is_not_taken(own: ModelFile) -> None:
    copy_path(own).write_bytes(bytes(5000))
    heard = Heard()
    assert await fastest_file(own, means(memory_bytes=9000), heard.observer) == own.path
    assert "half of the free memory" in heard.warned[0]


async def test_file_without_room_for_a_copy_is_served_with_a_warning(own: ModelFile) -> None:
    heard = Heard()
    assert await fastest_file(own, means(memory_bytes=10), heard.observer) == own.path
    assert "slow" in heard.warned[0]


async def test_fast_file_is_left_alone(own: ModelFile) -> None:
    own.path.write_bytes(FAST)
    heard = Heard()
    assert await fastest_file(own, means(), heard.observer) == own.path
    assert (len(heard.said), heard.warned) == (1, [])


async def test_file_that_is_no_model_is_for_others_to_refuse(own: ModelFile) -> None:
    own.path.write_bytes(b"something else")
    heard = Heard()
    assert await fastest_file(own, means(), heard.observer) == own.path
    assert heard.warned == []


@pytest.fixture
def locked() -> Iterator[ModelFile]:
    """A file where nobody may write but root, who is somebody else for the moment."""
    with tempfile.TemporaryDirectory() as name:
        folder, is_root = Path(name), os.geteuid() == 0
        (folder / "own.gguf").write_bytes(SLOW)
        folder.chmod(0o555)
        if is_root:
            os.seteuid(NOBODY)
        yield resolve(str(folder / "own.gguf"), folder)
        if is_root:
            os.seteuid(0)
        folder.chmod(0o755)


async def test_folder_that_cannot_be_written_is_a_warning(locked: ModelFile) -> None:
    heard = Heard()
    assert await fastest_file(locked, means(), heard.observer) == locked.path
    assert "Permission denied" in heard.warned[0]
    assert ".convert-" in heard.warned[0]
    assert "--convert off" in heard.warned[0]
