"""The bond with the process that supervises us.

We report to it on stdout, one JSON object a line, and die with it: it holds the other end of our stdin, so end of file
means that it is gone, whatever killed it. That alone would do; on Linux the kernel is also asked to kill us, for a
supervisor that leaks the pipe to other children. Whatever it writes there says that it wants the model to be loaded.
"""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from models.child import end_with_parent
from models.engine.snapshot import Snapshot
from models.errors import EXIT_OK
from models.server.service import Phase

BEAT_SECONDS: Final = 1.0

_PR_SET_PDEATHSIG: Final = 1
_STDOUT: Final = 1
_STDERR: Final = 2


@dataclass(frozen=True, slots=True)
class ReadyFacts:
    """What the supervisor is told once, when the model has produced a token and the socket listens."""

    model: str
    context: int
    parallel: int
    kv: str
    """split: a context for each sequence; unified: one pool for all."""
    threads: int
    gpu_layers: int
    load_seconds: float
    first_token_seconds: float


class Reporter(Protocol):
    """Whom start-up and health are told to."""

    def phase(self, phase: Phase) -> None:
        """A new phase has begun."""

    def ready(self, facts: ReadyFacts) -> None:
        """Requests are taken from now on."""

    def beat(self, busy: Snapshot) -> None:
        """The event loop is alive, and this is how busy the engine is."""

    def failed(self, message: str) -> None:
        """A lasting fault; the process ends now."""


class SilentReporter:
    """For a server that nobody supervises; the log says it all."""

    def phase(self, phase: Phase) -> None:
        """Nothing."""

    def ready(self, facts: ReadyFacts) -> None:
        """Nothing."""

    def beat(self, busy: Snapshot) -> None:
        """Nothing."""

    def failed(self, message: str) -> None:
        """Nothing."""


class LineReporter:
    """Writes the supervisor's lines to a file descriptor; each line is one write, smaller than a pipe's atomic size."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def phase(self, phase: Phase) -> None:
        """{"event":"phase","phase":…}."""
        self._write({"event": "phase", "phase": phase})

    def ready(self, facts: ReadyFacts) -> None:
        """{"event":"ready","model":…,"context":…,"parallel":…,"kv":…,"threads":…,"gpu_layers":…,…}."""
        self._write({"event": "ready"} | msgspec.to_builtins(facts))

    def beat(self, busy: Snapshot) -> None:
        """{"event":"beat","step_age_seconds":…,"running":…,"queued":…}."""
        age = round(busy.step_age_seconds, 3)
        self._write({"event": "beat", "step_age_seconds": age, "running": busy.running, "queued": busy.queued})

    def failed(self, message: str) -> None:
        """{"event":"failed","message":…}."""
        self._write({"event": "failed", "message": message})

    def _write(self, line: dict[str, Any]) -> None:
        try:
            os.write(self._descriptor, msgspec.json.encode(line) + b"\n")
        except BrokenPipeError:
            os._exit(0)  # nobody reads: the supervisor is gone


def claim_stdout() -> int:
    """Take stdout for the reports; whatever else prints there (C libraries too) goes to stderr from now on."""
    sys.stdout.flush()
    ours = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)
    return ours


class Lifeline:
    """The supervisor's end of our stdin."""

    def __init__(self) -> None:
        self.wanted: Future[None] = Future()
        """Done when the supervisor wants the model to be loaded."""

    def hold(self) -> None:
        """End this process at once when the supervisor is gone, also in the middle of a call into llama.cpp."""
        if sys.platform == "linux":
            _ask_kernel()
        end_with_parent(EXIT_OK, self._hear)

    def _hear(self) -> None:
        if not self.wanted.done():
            self.wanted.set_result(None)


async def beat(reporter: Reporter, snapshot: Callable[[], Snapshot]) -> None:
    """Report every second, for ever. A late beat means a blocked event loop."""
    while True:
        reporter.beat(snapshot())
        await asyncio.sleep(BEAT_SECONDS)


def _ask_kernel() -> None:
    # The parent may die before the request takes effect. Comparing with what it was also holds where the parent is
    # process 1, as in a container; had it died even earlier, stdin is at its end already.
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)
