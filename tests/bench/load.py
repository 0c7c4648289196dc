"""One load on one target: what the driver is told to do, and what came of it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

import msgspec

from tests.bench import traffic
from tests.bench.process import Tree, Usage, pinned
from tests.bench.target import Target
from tests.bench.traffic import Pace

_NOTHING = Usage(float("nan"), 0)


@dataclass(frozen=True, slots=True)
class Load:
    """What the driver offers (src/driver.c): a closed loop if `rate` is 0, else so many starts a second.

    Measured is what lies between `warm_seconds` and `end_seconds`, both counted from the start.
    """

    connections: int
    warm_seconds: float
    end_seconds: float
    rate: float = 0.0
    requests: int = 0
    pace: Pace | None = None
    body_bytes: int = traffic.DEFAULT_BODY_BYTES

    @classmethod
    def streams(cls, count: int, pace: Pace, ramp_seconds: float) -> "Load":
        """So many streams at once, each once, started within about the ramp; measured while all of them run."""
        # Poisson starts scatter: the last of n is off by a few of its 1/sqrt(n).
        warm = ramp_seconds * (1 + 3 / count**0.5)
        return cls(count, warm, max(pace.seconds, warm + 0.1), count / ramp_seconds, count, pace)


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a load. Times of the driver in microseconds, NaN if there were none of them.

    `failed`: no answer, or another status than 200. `mixed_up`: answers to somebody else's request. `lost_events`:
    missing from streams that ended well. `unfinished`: still running long after the end, which is to say overloaded.
    """

    seconds: float
    answered: int
    events: int
    failed: int
    mixed_up: int
    lost_events: int
    unfinished: int
    latency_p50: float = float("nan")
    latency_p99: float = float("nan")
    delay_p50: float = float("nan")
    delay_p99: float = float("nan")
    cpu_seconds: float = float("nan")
    rss_bytes: int = 0

    @property
    def requests_per_second(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds

    @property
    def cpu_per_request(self) -> float:
        """The target's CPU seconds for each answer, NaN if there was none."""
        return self.cpu_seconds / self.answered if self.answered else float("nan")

    @property
    def cpu_per_event(self) -> float:
        """The target's CPU seconds for each event, NaN if there was none."""
        return self.cpu_seconds / self.events if self.events else float("nan")

    @property
    def faults(self) -> int:
        """What should not happen at any load."""
        return self.failed + self.mixed_up + self.lost_events


class DriverFailed(RuntimeError):
    """The driver ended without a result."""


@dataclass(frozen=True, slots=True)
class Driver:
    """The driver's program, and the core that it runs on."""

    program: Path
    core: int

    def run(self, target: Target, load: Load) -> Result:
        """Offers the load and waits for its end. Raises DriverFailed."""
        content = traffic.request(target.headers, load.pace, load.body_bytes)
        with NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            return self._run(target, load, file.name)

    def _run(self, target: Target, load: Load, request: str) -> Result:
        numbers = (load.connections, load.rate, load.requests, load.warm_seconds, load.end_seconds)
        arguments = [str(self.program), str(target.port), request, *(str(number) for number in numbers)]
        with pinned(self.core), subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
            assert process.stdout
            process.stdout.readline()  # begin
            before = _usage(target.tree)
            process.stdout.readline()  # end
            after = _usage(target.tree)
            line = process.stdout.readline()
        if not line:
            raise DriverFailed(f"{target.name}: the driver ended with status {process.returncode}")
        result = msgspec.json.decode(line, type=Result)
        cpu_seconds = after.cpu_seconds - before.cpu_seconds
        return msgspec.structs.replace(result, cpu_seconds=cpu_seconds, rss_bytes=after.rss_bytes)


def _usage(tree: Tree | None) -> Usage:
    return tree.usage() if tree else _NOTHING
