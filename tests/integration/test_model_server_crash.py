"""A model server that dies whenever it starts: how it dies decides how the next one is started."""

import asyncio
import random
import sys
from pathlib import Path

import pytest

from proxy.clock import SystemClock
from proxy.telemetry.events import Event, ModelServerChanged, Phase
from proxy.upstreams.local import ModelServer, ModelServerSettings

pytestmark = pytest.mark.slow

PRECAUTIONS = ("--amx", "off")


async def told_at_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch, death: str, precautions: tuple[str, ...] = PRECAUTIONS
) -> tuple[list[list[str]], list[str]]:
    """The arguments of three children that died so, and what was said of their ends."""
    child, heard = folder / "child", folder / "heard"
    child.write_text(f'#!/bin/sh\necho "$@" >> {heard}\n{death}\n')
    child.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(child))
    settings = ModelServerSettings(
        ("--amx", "auto"), str(folder / "s"), heartbeat_seconds=20, hang_seconds=20, precautions=precautions
    )
    events: list[Event] = []
    server = ModelServer(settings, SystemClock(), random.Random(0), events.append)
    supervision = asyncio.create_task(server.run())
    async with asyncio.timeout(30):
        assert not await server.wait(3600.0)
    supervision.cancel()
    await asyncio.gather(supervision, return_exceptions=True)
    ends = [event for event in events if isinstance(event, ModelServerChanged) and event.phase is Phase.DOWN]
    return [line.split()[-2:] for line in heard.read_text().splitlines()], [end.detail for end in ends]


@pytest.mark.parametrize("fault", ["ILL", "ABRT", "SEGV", "BUS", "FPE"])
async def test_after_a_fault_of_llama_cpp_the_next_one_does_without_what_may_have_caused_it(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts, ends = await told_at_start(tmp_path, monkeypatch, f"kill -{fault} $$")
    assert starts == [["--amx", "auto"], ["--amx", "off"], ["--amx", "off"]]
    assert ends[0] == f"killed by SIG{fault}; from now on it is served with --amx off"


@pytest.mark.parametrize(("death", "end"), [("kill -KILL $$", "killed by SIGKILL"), ("exit 1", "exited with status 1")])
async def test_other_ends_say_nothing_about_it(
    death: str, end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await told_at_start(tmp_path, monkeypatch, death) == ([["--amx", "auto"]] * 3, [end] * 3)


async def test_what_was_asked_for_is_kept_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await told_at_start(tmp_path, monkeypatch, "kill -ILL $$", ()) == (
        [["--amx", "auto"]] * 3,
        ["killed by SIGILL"] * 3,
    )
