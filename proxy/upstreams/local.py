"""Supervision of the model server: one child process, started, watched, killed when it hangs, and started again.

The child (`python -m models serve --supervised`) writes one JSON object a line to its standard output:

    {"event": "phase", "phase": "loading"}            what it is doing
    {"event": "ready", "model": …, "context": …, …}   it has produced a token, and its socket listens
    {"event": "beat", "step_age_seconds": 0.4, "running": 0, "queued": 0}     once a second, from its event loop
    {"event": "failed", "message": …}                 it cannot run, and why; it exits after that

and holds the other end of its standard input: when this process goes, even by kill -9, the child reads EOF and exits.
With `--standby` the child has all at hand but the memory, says that it is in phase "standby", and loads when it reads a
line there. Whether that is wanted, and when a child that was wanted may end again, core/standby.py decides.
It gets a process group of its own, so that Ctrl-C in a terminal reaches the proxy alone, which drains first.
"""

import asyncio
import random
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from proxy.clock import Clock
from proxy.core.backoff import Backoff
from proxy.core.standby import REST_SECONDS, Spare, Standby, Turn
from proxy.telemetry.events import Emit, ModelServerChanged, Phase
from proxy.upstreams.gate import Changed, ModelGate, unobserved

RESTART_INITIAL_SECONDS = 0.2
RESTART_MAX_SECONDS = 30.0
RESTART_FORGIVE_SECONDS = 60.0
_STOP_SECONDS = 5.0
_LINE_BYTES = 2**16
_LOAD = b"load\n"
_STILLBORN = 3
"""So many children in a row that ended before they were ready, or had to be killed, are enough to say that the next one
will too. One may have met a moment without memory; the third comes 0.6 s after the first has ended, and however long
the children took."""
_LASTING_FAULTS = frozenset({2, 3})
"""Exit codes of the child: wrong usage, and a model that cannot be had or loaded."""
_FAULT_SIGNALS = frozenset({signal.SIGILL, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGSEGV})
"""What the child dies of when llama.cpp does what it must not, or finds that it did."""


@dataclass(frozen=True, slots=True)
class ModelServerSettings:
    """How to start the child, and for how long it may be silent (seconds)."""

    arguments: tuple[str, ...]
    socket: str
    heartbeat_seconds: float
    hang_seconds: float
    standby: Standby = "hot"
    precautions: tuple[str, ...] = ()
    """Further arguments for each child after one that died of a fault in llama.cpp: it is not to die of it again."""

    @property
    def command(self) -> Sequence[str]:
        """The child's command line. -P: a folder `models` where the proxy was started is somebody else's."""
        return (sys.executable, "-P", "-m", "models", "serve", "--supervised", "--socket", self.socket, *self.arguments)


def nobody_is_ill() -> bool:
    """For a supervisor that is not told of the upstreams."""
    return False


class ModelServer(ModelGate):
    """The supervisor, and with it the gate before the local upstream.

    `changed` is called after each change of the gate; `is_ill` says whether an upstream cannot be relied on now.
    """

    def __init__(
        self,
        settings: ModelServerSettings,
        clock: Clock,
        rng: random.Random,
        emit: Emit,
        changed: Changed = unobserved,
        is_ill: Callable[[], bool] = nobody_is_ill,
    ) -> None:
        super().__init__(changed)
        self._settings = settings
        self._clock = clock
        self._rng = rng
        self._emit = emit
        self._is_ill = is_ill
        self._spare = Spare(settings.standby)
        self._is_held = False
        """Whether the child waits to be told to load."""
        self._is_doubted = False
        """Whether a request has found nobody there since the last sign of life."""
        self.is_idle = False
        """Whether it is ready and has nothing to do, as of its last sign of life."""
        self.lives = 0
        """How often a child has become ready."""
        self._stillborn = 0
        """How many in a row have come to their end before that."""
        self._precautions: tuple[str, ...] = ()
        """What children are started with in addition since one has crashed."""
        self._backoff = Backoff(RESTART_INITIAL_SECONDS, RESTART_MAX_SECONDS, RESTART_FORGIVE_SECONDS)
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id while there is one."""
        return self._process.pid if self._process else None

    async def run(self) -> None:
        """Keep one child running, as far as it is wanted, until cancelled; then end it."""
        while True:
            await self._until_wanted()
            self._enter(Phase.STARTING)
            started_at = self._clock.monotonic()
            self.trouble = await self._one_life()
            if self.trouble:
                self._enter(Phase.DOWN, self.trouble)
                await self._pause(self._clock.monotonic() - started_at)

    async def _until_wanted(self) -> None:
        """A warm spare is started and held, a cold one is not even that."""
        while not (self._spare.is_wanted or self._spare.is_warm):
            self._enter(Phase.STANDBY)
            await self._news.wait()

    def want(self) -> None:
        """Somebody needs it, or will perhaps: wake it if it rests."""
        if self._spare.is_hot:
            return
        was_wanted = self._spare.is_wanted
        self._spare.want(self._clock.monotonic())
        if not was_wanted:
            self._release()
            self._tell()

    def doubt(self) -> None:
        """As of any gate; besides, it is worth a look at the socket."""
        self._is_doubted = True
        super().doubt()

    def _release(self) -> None:
        """Tell a child that is held to load."""
        stdin = self._process.stdin if self._process else None
        if self._is_held and stdin and not stdin.is_closing():
            stdin.write(_LOAD)
            self._is_held = False

    async def _one_life(self) -> str:
        """Start a child and follow it to its end; return why it ended, nothing if it was not wanted any more."""
        try:
            self._process = await self._spawn()
        except OSError as error:  # no memory or no process to be had: that passes
            return f"cannot be started: {error.strerror}"
        if self._spare.is_wanted:  # since the moment in which it was started
            self._release()
        try:
            return await self._watch(self._process)
        finally:
            self.is_idle = False
            self._shut()
            await self._end(self._process)
            self._process = None

    async def _spawn(self) -> asyncio.subprocess.Process:
        self._is_held = not self._spare.is_wanted
        Path(self._settings.socket).parent.mkdir(mode=0o700, exist_ok=True)  # see `_has_lost_its_socket`
        return await asyncio.create_subprocess_exec(
            *self._settings.command,
            *self._precautions,
            *(["--standby"] if self._is_held else []),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=_LINE_BYTES,
        )

    async def _pause(self, healthy_seconds: float) -> None:
        """Jitter, so that replicas that died together do not load their models together."""
        await asyncio.sleep(self._backoff.wait_seconds(healthy_seconds) * self._rng.uniform(0.8, 1.2))

    async def _watch(self, process: asyncio.subprocess.Process) -> str:
        """Follow the child's messages until it goes, or hangs and is killed; return why. Nothing: it may rest."""
        assert process.stdout is not None
        failure = ""
        while True:
            try:
                async with asyncio.timeout(self._settings.heartbeat_seconds):
                    line = await process.stdout.readline()
            except TimeoutError:
                return self._kill(process, f"no sign of life for {self._settings.heartbeat_seconds:g} s")
            except ValueError:
                return self._kill(process, "its standard output is not the supervision protocol")
            if not line:
                end = self._judge_exit(await process.wait())
                return failure or end
            message = _decode(line)
            if self._has_lost_its_socket():  # before a beat lets anybody in
                return self._kill(process, "its socket is gone")
            failure = self._hear(message) or failure
            if self._is_hung(message):
                return self._kill(process, f"one step took over {self._settings.hang_seconds:g} s")
            if not (self._is_held or self._spare.is_wanted):
                self.is_hopeless = False
                self._enter(Phase.STANDBY, f"not needed for {REST_SECONDS:g} s")
                return ""

    def _judge_exit(self, status: int) -> str:
        """The child has ended by itself: how, and what is done about it."""
        self.is_hopeless |= status in _LASTING_FAULTS
        self._count_end()
        how = _how_it_ended(status)
        if -status not in _FAULT_SIGNALS or not self._settings.precautions:
            return how
        self._precautions = self._settings.precautions
        return f"{how}; from now on it is served with {' '.join(self._precautions)}"

    def _kill(self, process: asyncio.subprocess.Process, why: str) -> str:
        """At once and for good: whoever hangs does not hear SIGTERM."""
        with suppress(ProcessLookupError):
            process.kill()
        self._count_end()
        return f"{why}: killed"

    def _count_end(self) -> None:
        """A second fault of the same kind tells more than the first."""
        self._stillborn += self.phase not in (Phase.READY, Phase.STANDBY)
        self.is_hopeless |= self._stillborn >= _STILLBORN

    def _is_hung(self, message: Mapping[str, Any]) -> bool:
        age = message.get("step_age_seconds")
        return isinstance(age, int | float) and age > self._settings.hang_seconds

    def _has_lost_its_socket(self) -> bool:
        """Whether the child lives where nobody finds it: what cleans up temporary files takes sockets, too."""
        is_doubted, self._is_doubted = self._is_doubted, False
        return is_doubted and self.phase is Phase.READY and not Path(self._settings.socket).exists()

    def _hear(self, message: Mapping[str, Any]) -> str:
        """Take in one message; return the failure that it announces, if it does."""
        match message.get("event"):
            case "phase":
                self._enter(_phase(message.get("phase")))
            case "ready":
                self.facts = {name: value for name, value in message.items() if name != "event"}
                self.trouble = ""
                self.is_hopeless = False
                self._stillborn = 0
                self.lives += 1
                self._enter(Phase.READY, summary(self.facts))
                self._let_in()
            case "beat":
                self._beat(is_busy=bool(message.get("running") or message.get("queued")))
            case "failed":
                self.is_hopeless = True
                self._tell()
                return str(message.get("message", "it failed"))
        return ""

    def _beat(self, *, is_busy: bool) -> None:
        if self._is_ill():
            self.want()
        turn = self._spare.beat(self._clock.monotonic(), is_busy=is_busy)
        is_ready = self.phase is Phase.READY
        self.is_idle = is_ready and not is_busy
        if turn is not Turn.STAY:
            self._shut()
        elif is_ready:
            self._let_in()

    @staticmethod
    async def _end(process: asyncio.subprocess.Process) -> None:
        """Ask it to go, then make it. Returns when it is gone and reaped."""
        for request, seconds in ((process.terminate, _STOP_SECONDS), (process.kill, None)):
            with suppress(ProcessLookupError):
                request()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await process.wait()
                    return

    def _enter(self, phase: Phase, detail: str = "") -> None:
        if phase is not self.phase:
            self.phase = phase
            self._emit(ModelServerChanged(phase, detail))
            self._tell()


def _how_it_ended(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exited with status {code}"


def _decode(line: bytes) -> Mapping[str, Any]:
    try:
        message = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return {}
    return message if isinstance(message, dict) else {}


def _phase(word: object) -> Phase:
    return next((phase for phase in Phase if phase.value == word), Phase.STARTING)


def summary(facts: Mapping[str, Any]) -> str:
    """What a child said of itself, on one line."""
    return ", ".join(f"{name}={value}" for name, value in facts.items())
