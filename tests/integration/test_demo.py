"""`hotspare demo`, as a visitor runs it: with the real proxy, the real model and a cloud that really dies."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from proxy.demo.page import SEAM
from proxy.demo.story import story
from tests.running import ROOT, is_running

pytestmark = pytest.mark.slow

BEGINNING = story(None, is_fast=True).beginning


@asynccontextmanager
async def demo(folder: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The command, whose temporary files go to `folder`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy.cli", "demo", *arguments),
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def shown_by(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    """Its exit code, and what it has written to either stream, white space made equal."""
    out, errors = await process.communicate()
    return process.returncode, " ".join(out.decode().split()), errors.decode()


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.model
async def test_sentence_of_the_dead_cloud_is_finished(model_file: Path, tmp_path: Path) -> None:
    async with demo(tmp_path, "--fast") as process:
        code, page, errors = await shown_by(process)
    assert (code, errors) == (0, "")
    assert page.count(BEGINNING) == 1
    _, _, after = page.partition(BEGINNING)
    assert after.startswith(SEAM)
    assert after.partition("What the application noticed")[0].split()[1:4], "it goes on"
    assert "longest silence" in page
    assert "errors: 0" in page
    assert "1 attempt at cloud" in page
    assert "went on for cloud local" in page
    assert "x-hotspare-upstream local" in page
    assert "x-hotspare-reason cloud: connect" in page
    assert "\x1b" not in page
    assert list(tmp_path.iterdir()) == []


@pytest.mark.model
async def test_visitors_question_is_answered(model_file: Path, tmp_path: Path) -> None:
    question = "Why do ships have lifeboats?"
    async with demo(tmp_path, "--fast", "--model", str(model_file), "--prompt", question) as process:
        code, page, errors = await shown_by(process)
    assert (code, errors) == (0, "")
    assert f"Q: {question}" in page
    assert f"{model_file.stem}, the local model" in page


@pytest.mark.model
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_interrupted_demo_leaves_nothing_behind(number: signal.Signals, model_file: Path, tmp_path: Path) -> None:
    async with demo(tmp_path) as process:
        assert process.stdout
        await process.stdout.readuntil(BEGINNING.split()[1].encode())
        children = children_of(process.pid)
        process.send_signal(number)
        code, _, errors = await shown_by(process)
    assert (code, errors) == (130, "")
    assert children
    assert not any(map(is_running, children))
    assert list(tmp_path.iterdir()) == []


async def test_model_that_cannot_be_had_is_told_with_a_remedy(tmp_path: Path) -> None:
    async with demo(tmp_path, "--model", str(tmp_path / "absent.gguf")) as process:
        code, _, errors = await shown_by(process)
    assert code == 1
    assert "absent.gguf: check the path" in errors
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []
