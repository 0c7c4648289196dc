"""Processes under measurement: pinning, ending, and what /proc says about them (Linux only)."""

import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

_PROC = Path("/proc")
_STOP_TIMEOUT_SECONDS = 5.0
_PRIORITY = -15


@dataclass(frozen=True, slots=True)
class Usage:
    """What a target has used so far: CPU time of all its threads, and the memory that it occupies now."""

    cpu_seconds: float
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class Tree:
    """A process with the descendants that it had when it was looked at; to look again costs time while measuring."""

    pids: tuple[int, ...]

    @classmethod
    def of(cls, root: int) -> "Tree":
        """The process and all its descendants."""
        children: dict[int, list[int]] = {}
        for entry in _PROC.glob("[0-9]*/stat"):
            with suppress(FileNotFoundError, ProcessLookupError):
                parent = int(entry.read_text().rpartition(") ")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.parent.name))
        found = [root]
        for pid in found:
            found.extend(children.get(pid, ()))
        return cls(tuple(found))

    def usage(self) -> Usage:
        """CPU time to the nanosecond, of threads still there; memory that processes share counts for each."""
        nanoseconds = sum(_cpu_nanoseconds(pid) for pid in self.pids)
        return Usage(nanoseconds / 1e9, sum(_rss_bytes(pid) for pid in self.pids))


def _cpu_nanoseconds(pid: int) -> int:
    # `stat` counts in steps of 10 ms, too coarse for a proxy that idles between events.
    total = 0
    for entry in (_PROC / str(pid) / "task").glob("*/schedstat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            total += int(entry.read_text().split()[0])
    return total


def _rss_bytes(pid: int) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        return int((_PROC / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


@dataclass(frozen=True, slots=True)
class Cores:
    """One for the target alone, one for mock and driver. Which of them is ours does not matter: we mostly wait."""

    load: int
    target: int

    @classmethod
    def choose(cls) -> "Cores":
        """The first and the last that we may use."""
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) == 1:
            print("bench: only one core; the proxy shares it with mock and driver", file=sys.stderr)
        return cls(cores[0], cores[-1])


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
def ahead_of_others() -> Iterator[None]:
    """What is started inside goes before what else the machine does, if we are root; else nothing changes."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    _set_priority(_PRIORITY)
    try:
        yield
    finally:
        _set_priority(before)


def _set_priority(nice: int) -> None:
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, nice)
    # Where sessions are scheduled as groups, a priority counts within its session only, unless the group has one, too.
    with suppress(OSError):
        (_PROC / "self/autogroup").write_text(str(nice))


def raise_descriptor_limit() -> int:
    """Allows this process, and so all that it starts, as many open files as the system lets it; returns how many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends a process with its descendants, by force if they do not go."""
    tree = Tree.of(process.pid)
    process.terminate()
    deadline = perf_counter() + _STOP_TIMEOUT_SECONDS
    try:
        process.wait(deadline - perf_counter())
    except subprocess.TimeoutExpired:
        _kill(tree)
    process.wait()
    if process.stdout:
        process.stdout.close()


def _kill(tree: Tree) -> None:
    for pid in tree.pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def machine() -> str:
    """Cores, CPU, kernel and Python, and how busy it was, in one line."""
    model = re.search(r"model name\s*: (.*)", (_PROC / "cpuinfo").read_text())
    version = ".".join(str(part) for part in sys.version_info[:3])
    cores = len(os.sched_getaffinity(0))
    kernel = os.uname().release
    name = model[1] if model else "unknown CPU"
    return f"{cores} cores, {name}, Linux {kernel}, Python {version}, load before the run {os.getloadavg()[0]:.1f}"
