"""Conversion by llama.cpp itself: what comes of it, and what is left when it is disturbed."""

import asyncio
import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from llama_cpp._ggml import libggml

from models.catalog.catalog import DEFAULT_MODEL
from models.catalog.gguf import FORMATS, read_header
from models.catalog.locate import ModelFile, resolve
from models.conversion.convert import convert
from models.conversion.fastest import Observer, fastest_file
from models.conversion.means import Means
from models.conversion.naming import copy_path
from models.download.workplace import sweep
from models.engine.llama import Context, ContextSettings, Model
from models.engine.scheduler import Rules
from models.errors import ConversionFailed
from tests.integration.models.by_hand import ByHand
from tests.integration.models.tiny import Kind, write
from tests.model_child import Child
from tests.unit.models.gguf_file import gguf_file

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

MEANS = Means(has_gpu=False, memory_bytes=2**40, threads=2)
LIMIT_SECONDS = 30.0

WITHOUT_TILES = ("--amx", "off")
"""Where the tile unit computes, the default model is fast as it comes."""


class Heard:
    """What an observer was told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []
        self.observer = Observer(self.said.append, self.warned.append, lambda: self.said.append("begin"))


@pytest.fixture
def shipped(model_file: Path, tmp_path: Path) -> ModelFile:
    """The default model as it comes, in a folder of its own."""
    model = resolve(DEFAULT_MODEL, tmp_path)
    model.path.symlink_to(model_file)
    return model


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def environ(model: ModelFile) -> dict[str, str]:
    return {"HOTSPARE_MODELS": str(model.path.parent)}


def test_formats_are_those_of_ggml() -> None:
    libggml.ggml_blck_size.restype = ctypes.c_int64
    libggml.ggml_type_size.restype = ctypes.c_size_t
    known = {number: (form.elements, form.size_bytes) for number, form in FORMATS.items()}
    assert known == {number: (libggml.ggml_blck_size(number), libggml.ggml_type_size(number)) for number in FORMATS}


async def test_any_model_is_converted_and_can_be_loaded(tmp_path: Path) -> None:
    source, target = write(Kind.FULL, tmp_path / "tiny.gguf"), tmp_path / "copy.gguf"
    await convert(source, target, 1, lambda line: None)
    with target.open("rb") as file:
        assert "Q8_0" in {tensor.format for tensor in read_header(file).tensors}
    Model(target, 0).close()
    assert files(tmp_path) == ["copy.gguf", "tiny.gguf"]


async def test_what_llama_cpp_cannot_convert_is_served_as_it_is(tmp_path: Path) -> None:
    file, heard = tmp_path / "own.gguf", Heard()
    file.write_bytes(gguf_file({"general.architecture": "no-such"}, [("Q4_1", (32, 64))]))
    assert await fastest_file(resolve(str(file), tmp_path), MEANS, heard.observer) == file
    assert "the conversion failed: llama.cpp" in heard.warned[0]
    assert files(tmp_path) == ["own.gguf"]


async def test_copy_of_a_former_file_is_removed(tmp_path: Path) -> None:
    source = write(Kind.FULL, tmp_path / "tiny.gguf")
    former, own = tmp_path / "tiny.Q8_0-of-0123456789ab.gguf", tmp_path / "tiny.Q8_0-of-mine.gguf"
    for path in (former, own):
        path.touch()
    await convert(source, copy_path(resolve(str(source), tmp_path)), 1, lambda line: None)
    assert not former.exists()
    assert own.exists()


@pytest.mark.model
async def test_copy_of_the_default_model_speaks_like_it(shipped: ModelFile) -> None:
    heard = Heard()
    copy = await fastest_file(shipped, MEANS, heard.observer)
    made_at = copy.stat().st_mtime_ns
    again = await fastest_file(shipped, MEANS, heard.observer)
    assert (again, again.stat().st_mtime_ns, heard.said.count("begin")) == (copy, made_at, 1)
    assert files(copy.parent) == sorted([shipped.path.name, copy.name])
    assert beginning(copy) == beginning(shipped.path)


def beginning(path: Path) -> str:
    model = Model(path, 0)
    context = Context(model, ContextSettings(256, 1, 64, 2))
    engine = ByHand(context, Rules(1, 4))
    prompt = model.tokenize("The capital of France is", add_special=True, parse_special=False)
    asked = engine.ask(prompt, max_tokens=4)
    engine.run()
    engine.stop()
    context.close()
    model.close()
    return asked.text


@pytest.mark.model
async def test_two_conversions_at_once_both_end_well(shipped: ModelFile) -> None:
    heard = Heard()
    first, second = await asyncio.gather(*(fastest_file(shipped, MEANS, heard.observer) for _ in range(2)))
    assert (first, heard.said.count("begin"), heard.warned) == (second, 2, [])
    assert files(first.parent) == sorted([shipped.path.name, first.name])


@pytest.mark.model
async def test_conversion_that_is_cancelled_leaves_nothing(shipped: ModelFile) -> None:
    running = asyncio.create_task(fastest_file(shipped, MEANS, Heard().observer))
    await until_written(shipped.path.parent)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert files(shipped.path.parent) == [shipped.path.name]


@contextlib.contextmanager
def disk_of(size_bytes: int) -> Iterator[None]:
    """As if the disk had so much room for a file: for this process and its children."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.model
async def test_disk_that_becomes_full_is_a_warning(shipped: ModelFile) -> None:
    heard = Heard()
    with disk_of(50_000_000):
        assert await fastest_file(shipped, MEANS, heard.observer) == shipped.path
    assert len(heard.warned) == 1
    assert files(shipped.path.parent) == [shipped.path.name]


async def test_conversion_that_is_killed_says_by_what(tmp_path: Path) -> None:
    source = write(Kind.FULL, tmp_path / "tiny.gguf")
    converting = asyncio.create_task(convert(source, tmp_path / "copy.gguf", 1, lambda line: None))
    while not (children := converters(tmp_path)):
        await asyncio.sleep(0.01)
    os.kill(children[0], signal.SIGKILL)
    with pytest.raises(ConversionFailed, match="SIGKILL"):
        await converting


@pytest.mark.model
async def test_server_killed_while_it_converts_leaves_what_is_swept_later(shipped: ModelFile) -> None:
    folder = shipped.path.parent
    child = Child("--context", "512", *WITHOUT_TILES, environ=environ(shipped))
    await until_written(folder)
    child.process.kill()
    child.close()
    async with asyncio.timeout(LIMIT_SECONDS):
        while converters(folder):
            await asyncio.sleep(0.02)
    assert not copy_path(shipped).exists()
    sweep(folder, ".convert-", time.time() + 3600.0)
    assert files(folder) == [shipped.path.name]


@pytest.mark.model
def test_server_converts_once(shipped: ModelFile) -> None:
    assert phases(shipped) == ["converting", "loading", "warming"]
    assert phases(shipped) == ["loading", "warming"]


@pytest.mark.model
def test_server_that_may_not_convert_serves_the_file_as_it_is(shipped: ModelFile) -> None:
    assert phases(shipped, "--convert", "off") == ["loading", "warming"]
    assert not copy_path(shipped).exists()


@pytest.mark.model
def test_damaged_copy_is_passed_over(shipped: ModelFile) -> None:
    copy_path(shipped).write_bytes(b"GGUF and then nothing")
    assert phases(shipped) == ["loading", "warming"]


def phases(model: ModelFile, *flags: str) -> list[str]:
    child = Child("--context", "512", *WITHOUT_TILES, *flags, environ=environ(model))
    lines = child.lines_until("ready")
    child.close()
    return [line["phase"] for line in lines if line["event"] == "phase"]


@pytest.mark.model
def test_pull_converts_and_list_says_so(shipped: ModelFile) -> None:
    pull = ("pull", DEFAULT_MODEL, *WITHOUT_TILES)
    ran = [command(shipped, *pull, *more) for more in (("--convert", "off"), ())]
    assert ["converted once" in each.stderr for each in ran] == [False, True]
    assert command(shipped, "list").stdout.splitlines()[1].split()[6] == "yes"


def command(model: ModelFile, *arguments: str) -> "subprocess.CompletedProcess[str]":
    line = [sys.executable, "-m", "models", *arguments]
    return subprocess.run(line, env=os.environ | environ(model), capture_output=True, text=True, check=True, timeout=50)


async def until_written(folder: Path) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while not list(folder.glob(".convert-*/*.gguf")):
            await asyncio.sleep(0.002)


def converters(folder: Path) -> list[int]:
    """The processes that convert in this folder."""
    return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline") if is_converter(path, folder)]


def is_converter(path: Path, folder: Path) -> bool:
    try:
        line = path.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return b"models.conversion" in line and os.fsencode(folder) in line
