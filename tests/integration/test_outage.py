"""The main job on real processes: the cloud is killed under many clients, and comes back."""

import asyncio
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from openai import AsyncOpenAI

from tests.running import ROOT, is_running

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.usefixtures("model_file")]

CLIENTS = 20
OUTAGE_SECONDS = float(os.environ.get("HOTSPARE_TEST_OUTAGE_SECONDS", "5"))
QUESTION = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 4}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A module of ours as a process, killed at the end if it still runs."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.communicate()


@asynccontextmanager
async def cloud(port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    async with process("tests.fakes.upstream", "--port", str(port), "--gap-seconds", "0.05") as child:
        assert child.stdout
        assert b"listening" in await child.stdout.readline()
        yield child


@dataclass(frozen=True)
class Served:
    """`hotspare serve` as a process, and the roots of its URLs."""

    process: asyncio.subprocess.Process
    api: str
    admin: str


@asynccontextmanager
async def served(folder: Path, upstream_port: int) -> AsyncIterator[Served]:
    """A proxy whose local model is ready."""
    port, admin_port = free_port(), free_port()
    config = folder / "hotspare.yaml"
    config.write_text(f"""
listen: 127.0.0.1:{port}
admin: {{listen: 127.0.0.1:{admin_port}}}
upstreams:
  - name: cloud
    base_url: http://127.0.0.1:{upstream_port}/v1
    api_key: sk-cloud
    timeouts: {{connect: 500ms, first_content: 2s}}
    breaker: {{cooldown: 500ms, max_cooldown: 1s, ramp: 1s}}
log: {{level: warning}}
""")
    async with process("proxy.cli", "serve", "--config", str(config)) as child:
        admin = f"http://127.0.0.1:{admin_port}"
        await local_model_ready(admin)
        yield Served(child, f"http://127.0.0.1:{port}", admin)


async def local_model_ready(root: str) -> None:
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:
        while (await readiness(session, root)).get("local") != "ready":
            await asyncio.sleep(0.1)  # a process that is starting gives nothing else to wait on


async def readiness(session: aiohttp.ClientSession, root: str) -> dict[str, object]:
    try:
        async with session.get(f"{root}/readyz") as answer:
            return dict(await answer.json())
    except aiohttp.ClientConnectionError:
        return {}


@dataclass
class Crowd:
    """Clients that ask again and again, and what they saw."""

    client: AsyncOpenAI
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    answered_by: Counter[str] = field(default_factory=Counter)
    errors: list[BaseException] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    answered: asyncio.Condition = field(default_factory=asyncio.Condition)

    def start(self) -> None:
        """Everybody begins; every second one streams."""
        self.tasks = [asyncio.create_task(self.run(is_stream=number % 2 == 0)) for number in range(CLIENTS)]

    async def stop(self) -> None:
        """Everybody ends with the answer under way."""
        self.stopping.set()
        await asyncio.gather(*self.tasks)

    async def run(self, is_stream: bool) -> None:
        """One client, until told to stop."""
        while not self.stopping.is_set():
            try:
                by = await (self.ask_stream() if is_stream else self.ask())
            except Exception as error:  # noqa: BLE001 - what clients see is what is tested
                self.errors.append(error)
                continue
            async with self.answered:
                self.answered_by[by] += 1
                self.answered.notify_all()

    async def ask(self) -> str:
        raw = await self.client.chat.completions.with_raw_response.create(**QUESTION)
        assert raw.parse().choices[0].message.content
        return f"{raw.headers['x-hotspare-upstream']} unstreamed"

    async def ask_stream(self) -> str:
        stream = await self.client.chat.completions.create(**QUESTION, stream=True)
        chunks = [chunk async for chunk in stream]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        assert chunks[-1].choices[0].finish_reason
        return f"{stream.response.headers['x-hotspare-upstream']} streamed"

    async def until(self, *sources: str) -> None:
        """Wait until each source has answered once more."""
        before = self.answered_by.copy()
        async with asyncio.timeout(60), self.answered:
            await self.answered.wait_for(lambda: all(self.answered_by[name] > before[name] for name in sources))


@asynccontextmanager
async def crowd(root: str) -> AsyncIterator[Crowd]:
    async with AsyncOpenAI(base_url=f"{root}/v1", api_key="sk-any", max_retries=0, timeout=60) as client:
        people = Crowd(client)
        people.start()
        try:
            yield people
        finally:
            await people.stop()


@pytest.mark.timeout(240)
async def test_no_client_sees_an_exception_while_the_cloud_is_dead(tmp_path: Path) -> None:
    port = free_port()
    async with served(tmp_path, port) as proxy, cloud(port) as first, crowd(proxy.api) as people:
        await people.until("cloud streamed", "cloud unstreamed")
        first.kill()
        await people.until("local streamed", "local unstreamed")
        await asyncio.sleep(OUTAGE_SECONDS)
        async with cloud(port):
            await people.until("cloud streamed", "cloud unstreamed")
            await people.stop()
    assert people.errors == []


async def test_kill_9_of_the_proxy_takes_the_model_server_along(tmp_path: Path) -> None:
    async with served(tmp_path, free_port()) as proxy:
        [model_server] = children_of(proxy.process.pid)
        proxy.process.kill()
        async with asyncio.timeout(10):
            while is_running(model_server):
                await asyncio.sleep(0.02)  # not our child: there is nothing to wait on
    assert not is_running(model_server)


async def test_sigterm_finishes_running_streams_and_exits_0(tmp_path: Path) -> None:
    port = free_port()
    async with cloud(port), served(tmp_path, port) as proxy:
        [model_server] = children_of(proxy.process.pid)
        async with AsyncOpenAI(base_url=f"{proxy.api}/v1", api_key="sk-any", max_retries=0) as client:
            stream = await client.chat.completions.create(**{**QUESTION, "max_tokens": 400}, stream=True)
            chunks = [await anext(aiter(stream))]
            proxy.process.send_signal(signal.SIGTERM)
            async with aiohttp.ClientSession() as session:
                while (await readiness(session, proxy.admin)).get("ready"):
                    await asyncio.sleep(0.01)  # the signal is on its way
            chunks += [chunk async for chunk in stream]
        assert await proxy.process.wait() == 0
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert not is_running(model_server)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
