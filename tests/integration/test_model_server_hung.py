"""A model server that hangs whenever it starts: a real process that is never ready and never ends by itself."""

import asyncio
import random
import sys
from pathlib import Path

import pytest

from proxy.clock import SystemClock
from proxy.telemetry.events import Event, ModelServerChanged, Phase
from proxy.upstreams.local import ModelServer, ModelServerSettings

pytestmark = pytest.mark.slow

SAYINGS = {
    "silent": "",
    "silent once it loads": """echo '{"event": "phase", "phase": "loading"}'""",
    "in its first step": """echo '{"event": "beat", "step_age_seconds": 99}'""",
}


@pytest.mark.parametrize("saying", SAYINGS.values(), ids=SAYINGS)
async def test_nobody_waits_for_a_model_server_that_hangs_whenever_it_starts(
    saying: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = tmp_path / "child"
    child.write_text(f"#!/bin/sh\n{saying}\nexec sleep 600\n")
    child.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(child))
    settings = ModelServerSettings((), str(tmp_path / "s"), heartbeat_seconds=0.1, hang_seconds=1)
    events: list[Event] = []
    server = ModelServer(settings, SystemClock(), random.Random(0), events.append)
    supervision = asyncio.create_task(server.run())
    async with asyncio.timeout(30):
        assert not await server.wait(3600.0)
    supervision.cancel()
    await asyncio.gather(supervision, return_exceptions=True)
    ends = [event for event in events if isinstance(event, ModelServerChanged) and event.phase is Phase.DOWN]
    assert (len(ends), server.pid) == (3, None)
    assert all(end.detail.endswith("killed") for end in ends)
