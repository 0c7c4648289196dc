"""What is measured: a target goes through the same loads in each round."""

from collections.abc import Mapping
from dataclasses import dataclass
from time import sleep

from tests.bench.load import Driver, Load, Result
from tests.bench.target import Target
from tests.bench.traffic import Pace

_SETTLE_SECONDS = 0.5
# A schedule needs room, or a target that saturates just there has a latency without bound.
_SPARE_RATIO = 1.05


@dataclass(frozen=True, slots=True)
class Plan:
    """The loads: `calm` and `saturated` are closed loops, `steady` arrives at random, the others are streams."""

    calm: Load
    saturated: Load
    steady: Load
    streams: Load
    crowd: Load


FULL = Plan(
    calm=Load(1, 0.3, 2.3),
    saturated=Load(64, 0.7, 3.2),
    steady=Load(256, 0.5, 3.5, rate=1_000),
    streams=Load.streams(1_000, Pace(100, 50_000), ramp_seconds=1.0),
    crowd=Load.streams(5_000, Pace(50, 200_000), ramp_seconds=2.0),
)
QUICK = Plan(
    calm=Load(1, 0.1, 0.4),
    saturated=Load(16, 0.1, 0.5),
    steady=Load(32, 0.1, 0.5, rate=100),
    streams=Load.streams(20, Pace(20, 20_000), ramp_seconds=0.1),
    crowd=Load.streams(50, Pace(10, 40_000), ramp_seconds=0.1),
)


@dataclass(frozen=True, slots=True)
class Round:
    """One target's figures of one round; a load that it could not have borne is not there.

    `rss_bytes_per_stream` is all that the target has grown since its start by the end of `streams`, NaN for the mock.
    """

    start_seconds: float
    idle_rss_bytes: float
    rss_bytes_per_stream: float
    results: Mapping[str, Result]

    @property
    def faults(self) -> int:
        """What went wrong in all loads together."""
        return sum(result.faults for result in self.results.values())


def measure(target: Target, plan: Plan, driver: Driver) -> Round:
    """One round. Raises DriverFailed."""
    sleep(_SETTLE_SECONDS)
    idle = target.tree.usage().rss_bytes if target.tree else float("nan")
    results = {name: driver.run(target, getattr(plan, name)) for name in ("calm", "saturated")}
    if results["saturated"].requests_per_second > plan.steady.rate * _SPARE_RATIO:
        results["steady"] = driver.run(target, plan.steady)
    results["streams"] = driver.run(target, plan.streams)
    if not results["streams"].unfinished:
        results["crowd"] = driver.run(target, plan.crowd)
    grown = results["streams"].rss_bytes - idle
    return Round(target.start_seconds, idle, grown / plan.streams.connections, results)
