"""`hotspare serve` with several workers, as a process of its own, watched through its log and /proc."""

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.running import ROOT, is_running

Line = dict[str, Any]


@dataclass
class RunningFleet:
    """The parent process, and all that it and its workers have logged."""

    process: asyncio.subprocess.Process
    config: Path
    lines: list[Line] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def base_url(self) -> str:
        """As announced, with /v1."""
        announced = (line["message"] for line in self.lines if line["message"].startswith("serving on "))
        return next(announced).split()[2]

    @property
    def workers(self) -> set[int]:
        """The process ids of the workers that live."""
        return {pid for pid in self.children if b"proxy.workers" in command_of(pid)}

    @property
    def model_servers(self) -> set[int]:
        """The process ids of the model servers that live."""
        return {pid for pid in self.children if b"models" in command_of(pid)}

    @property
    def children(self) -> list[int]:
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def said(self, message: str) -> list[Line]:
        """The lines whose message begins so."""
        return [line for line in self.lines if line["message"].startswith(message)]

    async def says(self, message: str, times: int = 1) -> None:
        """Wait until such a line has come so often. Raises TimeoutError."""
        async with asyncio.timeout(40), self.changed:
            await self.changed.wait_for(lambda: len(self.said(message)) >= times)

    async def ends(self) -> int:
        """Wait for its end; its exit status."""
        async with asyncio.timeout(20):
            return await self.process.wait()

    async def listen(self) -> None:
        """Take in what is logged until the log ends."""
        assert self.process.stderr
        while raw := await self.process.stderr.readline():
            async with self.changed:
                self.lines.append(json.loads(raw))
                self.changed.notify_all()


def free_port() -> int:
    """One that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def command(config: Path) -> list[str]:
    """How a fleet is started."""
    return [sys.executable, "-m", "proxy.cli", "serve", "--config", str(config)]


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


@asynccontextmanager
async def running_fleet(
    folder: Path, config: str, workers: int = 2, log_level: str = "info"
) -> AsyncIterator[RunningFleet]:
    """A fleet that serves; killed at the end if it still runs, and none of its workers may be left then."""
    path = folder / "hotspare.yaml"
    log = f"log: {{format: json, level: {log_level}}}"
    path.write_text(f"listen: 127.0.0.1:0\nworkers: {workers}\n{log}\n{config}")
    process = await asyncio.create_subprocess_exec(*command(path), cwd=ROOT, stderr=asyncio.subprocess.PIPE)
    fleet = RunningFleet(process, path)
    listening = asyncio.create_task(fleet.listen())
    try:
        await fleet.says("serving on ")
        yield fleet
    finally:
        if process.returncode is None:
            left = fleet.workers
            process.send_signal(signal.SIGTERM)
            await fleet.ends()
            assert not any(is_running(pid) for pid in left)
        await listening
