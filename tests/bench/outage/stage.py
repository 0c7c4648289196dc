"""The three of them: a cloud that fails, a local model that answers, and the proxy between, in a process of its own."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from tests.bench.outage.client import Client
from tests.fakes.upstream import FaultUpstream
from tests.running import MODEL, ROOT, running_model_server

LIMIT_SECONDS = 1.0
"""How long the cloud may be silent. It is part of what a hang costs, and nothing of what is measured."""

BLIND = "{consecutive: 1000000, minimum: 1000000}"
"""A breaker that never opens: every request meets the fault itself."""
SURE = "{consecutive: 3, cooldown: 5m}"
"""One that stays open once it is."""

_ANNOUNCEMENT = re.compile(rb"serving on (http://\S+/v1)")


@dataclass(frozen=True, slots=True)
class Stage:
    """`direct` asks the local model itself."""

    local_url: str
    direct: Client

    @asynccontextmanager
    async def proxied(self, cloud_url: str, breaker: str = BLIND, *, limits: bool = True) -> AsyncIterator[Client]:
        """A client of a proxy before that cloud. Without `limits` the cloud has those that are learnt."""
        timeouts = f"timeouts: {{connect: 500ms, first_content: {LIMIT_SECONDS:g}s, stall: {LIMIT_SECONDS:g}s}}"
        kept = f"breaker: {breaker}, {timeouts}" if limits else f"breaker: {breaker}"
        config = f"""
listen: 127.0.0.1:0
upstreams:
  - {{name: cloud, base_url: "{cloud_url}", api_key: k, {kept}}}
local: {{url: "{self.local_url}", served_model: {MODEL}, prefill: hotspare}}
limits: {{drain: 1s}}
"""
        async with serving(config) as url, aiohttp.ClientSession() as session:
            yield Client(session, url)


@asynccontextmanager
async def serving(config: str) -> AsyncIterator[str]:
    """A proxy; its base URL, with /v1. What it logs is read and forgotten, as a full pipe would stop it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "hotspare.yaml"
        path.write_text(config)
        command = (sys.executable, "-m", "proxy", "serve", "--config", str(path))
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=asyncio.subprocess.PIPE)
        assert process.stderr
        logged = asyncio.create_task(asyncio.sleep(0))
        try:
            url = await _announced(process.stderr)
            logged = asyncio.create_task(_forget(process.stderr))
            yield url
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
            await logged


async def _announced(log: asyncio.StreamReader) -> str:
    said = b""
    while not (found := _ANNOUNCEMENT.search(said)):
        line = await log.readline()
        if not line:
            raise RuntimeError(f"the proxy ended before it served: {said.decode()}")
        said += line
    return found[1].decode()


async def _forget(log: asyncio.StreamReader) -> None:
    while await log.read(65536):
        pass


@asynccontextmanager
async def staged(*, with_model: bool) -> AsyncIterator[Stage]:
    """With the real model, or with a stand-in of a few words that answers at once."""
    async with AsyncExitStack() as stack:
        if with_model:
            local_url = stack.enter_context(running_model_server())
            connector = aiohttp.UnixConnector(local_url.removeprefix("unix://"))
            session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
            yield Stage(local_url, Client(session, "http://local/v1", MODEL))
        else:
            local_url = (await stack.enter_async_context(FaultUpstream())).base_url
            session = await stack.enter_async_context(aiohttp.ClientSession())
            yield Stage(local_url, Client(session, local_url))
