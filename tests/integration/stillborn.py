"""A model server that comes to its end whenever it starts: a real process, supervised until nobody waits for it."""

import asyncio
import random
import sys
from pathlib import Path

import pytest

from proxy.clock import SystemClock
from proxy.telemetry.events import Event, ModelServerChanged, Phase
from proxy.upstreams.local import ModelServer, ModelServerSettings


async def ends_of(
    script: str, settings: ModelServerSettings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """What was said of the end of each child that ran `script`, until it was given up. None of them is left."""
    child = folder / "child"
    child.write_text(f"#!/bin/sh\n{script}\n")
    child.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(child))
    events: list[Event] = []
    server = ModelServer(settings, SystemClock(), random.Random(0), events.append)
    supervision = asyncio.create_task(server.run())
    async with asyncio.timeout(30):
        assert not await server.wait(3600.0)
    supervision.cancel()
    await asyncio.gather(supervision, return_exceptions=True)
    assert server.pid is None
    downs = [event for event in events if isinstance(event, ModelServerChanged) and event.phase is Phase.DOWN]
    return [down.detail for down in downs]
