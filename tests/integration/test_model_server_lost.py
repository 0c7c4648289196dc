"""A model server that lives and says so, where nobody finds it any more: a real process, supervised."""

import asyncio
import random
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from proxy.clock import SystemClock
from proxy.telemetry.events import Event, ModelServerChanged, Phase
from proxy.upstreams.local import ModelServer, ModelServerSettings

pytestmark = pytest.mark.slow

CHILD = """#!/bin/sh
touch {socket} || exit 1
echo '{{"event": "ready"}}'
while sleep 0.02; do echo '{{"event": "beat"}}' || exit; done
"""


@pytest.fixture
def socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the children listen; a plain file will do."""
    folder, child = tmp_path / "folder", tmp_path / "child"
    folder.mkdir()
    child.write_text(CHILD.format(socket=folder / "s"))
    child.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(child))
    return folder / "s"


@asynccontextmanager
async def ready(socket: Path, events: list[Event]) -> AsyncIterator[ModelServer]:
    settings = ModelServerSettings((), str(socket), heartbeat_seconds=20, hang_seconds=20)
    server = ModelServer(settings, SystemClock(), random.Random(0), events.append)
    supervision = asyncio.create_task(server.run())
    async with asyncio.timeout(20):
        assert await server.wait(20.0)
        yield server
    supervision.cancel()
    await asyncio.gather(supervision, return_exceptions=True)


async def test_model_server_whose_folder_was_cleaned_up_is_replaced(socket: Path) -> None:
    events: list[Event] = []
    async with ready(socket, events) as server:
        shutil.rmtree(socket.parent)
        server.doubt()
        while server.lives < 2:
            await asyncio.sleep(0.02)
        assert await server.wait(20.0)
    downs = [event for event in events if isinstance(event, ModelServerChanged) and event.phase is Phase.DOWN]
    assert [down.detail for down in downs] == ["its socket is gone: killed"]
    assert socket.parent.stat().st_mode & 0o777 == 0o700


async def test_model_server_that_was_doubted_for_nothing_is_kept(socket: Path) -> None:
    async with ready(socket, []) as server:
        server.doubt()
        assert await server.wait(20.0)
        assert server.lives == 1
