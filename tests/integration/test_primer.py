"""Telling the model server how conversations begin, against a scripted server on its socket."""

import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from proxy.clock import SystemClock
from proxy.core.beginnings import Beginning
from proxy.upstreams.primer import Primer

MESSAGES = [{"role": "system", "content": "Be brief."}]
TOOLS = [{"type": "function", "function": {"name": "weather"}}]
BEGINNING = Beginning("app", json.dumps({"messages": MESSAGES, "tools": TOOLS}).encode())


@dataclass
class Server:
    """What the supervisor says of it, what it answers, and what it was told."""

    is_idle: bool = True
    lives: int = 1
    status: int = 202
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    async def prime(self, request: web.Request) -> web.Response:
        self.told.append((request.headers["x-hotspare-client"], await request.json()))
        return web.Response(status=self.status)


@asynccontextmanager
async def primed(server: Server) -> AsyncIterator[Primer]:
    application = web.Application()
    application.router.add_post("/v1/prime", server.prime)
    runner = web.AppRunner(application)
    await runner.setup()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "s")
        await web.UnixSite(runner, path).start()
        primer = Primer(server, f"unix://{path}", "smollm2", SystemClock())
        for _ in range(3):
            primer.note(BEGINNING)
        yield primer
        await primer.close()
        await runner.cleanup()


async def test_frequent_beginning_is_told_once_under_its_client() -> None:
    server = Server()
    async with primed(server) as primer:
        for _ in range(3):
            await primer.look()
    assert server.told == [("app", {"model": "smollm2", "messages": MESSAGES, "tools": TOOLS})]


async def test_busy_server_is_left_alone() -> None:
    server = Server(is_idle=False)
    async with primed(server) as primer:
        await primer.look()
    assert server.told == []


async def test_server_that_was_started_anew_is_told_again() -> None:
    server = Server()
    async with primed(server) as primer:
        await primer.look()
        server.lives += 1
        await primer.look()
    assert len(server.told) == 2


@pytest.mark.parametrize(("status", "times"), [(400, 1), (503, 2)])
async def test_refusal_is_final_and_trouble_is_not(status: int, times: int) -> None:
    server = Server(status=status)
    async with primed(server) as primer:
        await primer.look()
        await primer.look()
    assert len(server.told) == times


async def test_server_that_is_gone_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "hotspare")
    primer = Primer(Server(), "unix:///no/such/socket", "smollm2", SystemClock())
    for _ in range(3):
        primer.note(BEGINNING)
    await primer.look()
    assert "not primed" in caplog.text
    assert "brief" not in caplog.text
