"""Processes under measurement: starting, pinning, and what /proc says about them (Linux only)."""

import http.client
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import perf_counter, sleep

from tests.bench import traffic
from tests.bench.driver import Address

_PROC = Path("/proc")
_START_TIMEOUT_SECONDS = 20.0
_STOP_TIMEOUT_SECONDS = 10.0
_POLL_SECONDS = 0.002
_LISTENING = "0A"
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class NotServing(RuntimeError):
    """A process did not come up, or nobody listens where one was said to be."""


class Tree:
    """A process with all its descendants."""

    def __init__(self, root: int) -> None:
        self.root = root

    def pids(self) -> list[int]:
        """The processes that are there now."""
        children: dict[int, list[int]] = {}
        for pid, fields in _processes():
            children.setdefault(int(fields[1]), []).append(pid)
        found = [self.root]
        for pid in found:
            found.extend(children.get(pid, ()))
        return found

    def cpu_seconds(self) -> float:
        """User and system time used so far, to 10 ms."""
        pids = set(self.pids())
        ticks = sum(int(fields[11]) + int(fields[12]) for pid, fields in _processes() if pid in pids)
        return ticks / _TICKS_PER_SECOND

    def rss_bytes(self) -> int:
        """Resident memory of all of them; what they share counts for each."""
        page = os.sysconf("SC_PAGE_SIZE")
        return sum(int((_PROC / str(pid) / "statm").read_text().split()[1]) for pid in self.pids()) * page

    def pin(self, core: int) -> None:
        """Lets every thread run on this core only."""
        for pid in self.pids():
            for task in (_PROC / str(pid) / "task").iterdir():
                os.sched_setaffinity(int(task.name), {core})


def _processes() -> Iterator[tuple[int, list[str]]]:
    """Every process with its fields of /proc/PID/stat from the state on."""
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError):
                yield int(entry.name), (entry / "stat").read_text().rpartition(") ")[2].split()


def listener(address: Address) -> Tree:
    """The process that listens on a port of this machine. Raises NotServing."""
    rows = [line.split() for line in (_PROC / "net/tcp").read_text().splitlines()[1:]]
    inodes = {row[9] for row in rows if row[3] == _LISTENING and int(row[1].partition(":")[2], 16) == address.port}
    sockets = {f"socket:[{inode}]" for inode in inodes}
    for descriptor in _PROC.glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if str(descriptor.readlink()) in sockets:
                return Tree(int(descriptor.parts[2]))
    raise NotServing(f"no process listens on {address}")


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """What is started inside runs on this core, with all it starts."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def mock(core: int, port: int = 0) -> Iterator[Address]:
    """A running mock upstream. Raises NotServing if the port is taken."""
    with pinned(core):
        process = subprocess.Popen([sys.executable, "-m", "tests.bench.mock", str(port)], stdout=subprocess.PIPE)
    try:
        line = process.stdout.readline() if process.stdout else b""
        if not line:
            raise NotServing(f"the mock did not start on port {port}")
        yield Address("127.0.0.1", int(line))
    finally:
        stop(process)
        if process.stdout:
            process.stdout.close()


def start(command: str, config: Path, address: Address, core: int) -> tuple[subprocess.Popen[bytes], float]:
    """Starts a proxy on a core; also the seconds until it had served a first request. Raises NotServing."""
    arguments = [part.format(python=sys.executable, config=config) for part in shlex.split(command)]
    with pinned(core):
        started = perf_counter()
        process = subprocess.Popen(arguments)
    try:
        _wait_until_serving(process, address)
    except NotServing:
        stop(process)
        raise
    return process, perf_counter() - started


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends a process, by force if it does not go."""
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def write_config(path: Path, address: Address, upstream: Address) -> None:
    """A configuration of the proxy with the mock as its only upstream; JSON is YAML."""
    settings = {
        "listen": str(address),
        "local": False,
        "upstreams": [{"name": "mock", "base_url": f"http://{upstream}/v1", "api_key": traffic.API_KEY}],
        "log": {"level": "warning"},
    }
    path.write_text(json.dumps(settings))


def _wait_until_serving(process: subprocess.Popen[bytes], address: Address) -> None:
    deadline = perf_counter() + _START_TIMEOUT_SECONDS
    while not (_status(address, "GET", "/readyz") == 200 and _status(address, "POST", traffic.CHAT_PATH) == 200):
        if process.poll() is not None:
            raise NotServing(f"the proxy ended with status {process.returncode}")
        if perf_counter() > deadline:
            raise NotServing(f"the proxy did not serve within {_START_TIMEOUT_SECONDS:.0f} s")
        sleep(_POLL_SECONDS)


def _status(address: Address, method: str, path: str) -> int | None:
    connection = http.client.HTTPConnection(address.host, address.port, timeout=_START_TIMEOUT_SECONDS)
    headers = {"Authorization": f"Bearer {traffic.API_KEY}", "Content-Type": "application/json"}
    try:
        connection.request(method, path, traffic.body() if method == "POST" else None, headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def machine() -> str:
    """Cores, CPU and Python, in one line."""
    model = re.search(r"model name\s*: (.*)", (_PROC / "cpuinfo").read_text())
    version = ".".join(str(part) for part in sys.version_info[:3])
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    return f"{cores} cores, {model[1] if model else 'unknown CPU'}, Python {version}, load before the run {load:.1f}"
