"""What is measured: one round of all loads against one target, and a proxy's footprint."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, fields
from statistics import median, quantiles
from typing import TypeVar

from tests.bench import driver
from tests.bench.driver import Address, Load
from tests.bench.process import Tree
from tests.bench.traffic import Pace

SATURATING_CONNECTIONS = 32
STREAMS = 100
HELD_STREAMS = 500
_SETTLE_SECONDS = 0.5

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plan:
    """How long each load runs. `paced` is slow enough for any proxy; `rushed` offers more than one core can pass on."""

    rounds: int
    starts: int
    latency_seconds: float
    saturation_seconds: float
    paced: Pace
    rushed: Pace


FULL = Plan(3, 3, latency_seconds=2.0, saturation_seconds=2.5, paced=Pace(100, 40), rushed=Pace(100, 1))
QUICK = Plan(1, 1, latency_seconds=0.6, saturation_seconds=1.0, paced=Pace(40, 40), rushed=Pace(100, 1))
_FIRST_EVENT = Pace(2, 0)


@dataclass(frozen=True, slots=True)
class Target:
    """Something to send requests to; `tree` is None for the mock itself, whose CPU is not of interest."""

    name: str
    address: Address
    tree: Tree | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """The results of one round. Times in seconds; NaN where there is nothing to measure."""

    request_p50: float
    request_p99: float
    requests_per_second: float
    cpu_per_request: float
    core_busy_ratio: float
    ttft_p50: float
    ttft_p99: float
    delay_p50: float
    delay_p99: float
    cpu_per_event: float
    events_per_second: float
    cpu_per_rushed_event: float
    failures: float


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a proxy costs before it is busy. NaN where it cannot be known."""

    start_seconds: float
    idle_rss_bytes: float
    rss_bytes_per_stream: float


@dataclass(frozen=True, slots=True)
class Measured:
    """A load together with the CPU time that the target used for it."""

    load: Load
    cpu_seconds: float


async def measure(target: Target, plan: Plan) -> Figures:
    """One round."""
    calm = await driver.ask(target.address, 1, plan.latency_seconds)
    busy = await _with_cpu(target, driver.ask(target.address, SATURATING_CONNECTIONS, plan.saturation_seconds))
    first = await driver.stream(target.address, 1, _FIRST_EVENT, plan.latency_seconds)
    paced = await _with_cpu(target, driver.stream(target.address, STREAMS, plan.paced))
    rushed = await _with_cpu(target, driver.stream(target.address, STREAMS, plan.rushed, plan.saturation_seconds))
    return Figures(
        request_p50=percentile(calm.latencies, 50),
        request_p99=percentile(calm.latencies, 99),
        requests_per_second=busy.load.per_second,
        cpu_per_request=ratio(busy.cpu_seconds, len(busy.load.latencies)),
        core_busy_ratio=busy.cpu_seconds / busy.load.elapsed_seconds,
        ttft_p50=percentile(first.ttfts, 50),
        ttft_p99=percentile(first.ttfts, 99),
        delay_p50=percentile(paced.load.delays, 50),
        delay_p99=percentile(paced.load.delays, 99),
        cpu_per_event=ratio(paced.cpu_seconds, len(paced.load.delays)),
        events_per_second=rushed.load.events_per_second,
        cpu_per_rushed_event=ratio(rushed.cpu_seconds, len(rushed.load.delays)),
        failures=sum(load.failures for load in (calm, busy.load, first, paced.load, rushed.load)),
    )


async def measure_footprint(target: Target, start_seconds: float) -> Footprint:
    """Memory when idle and for each open stream; `start_seconds` was measured by who started it."""
    assert target.tree
    await asyncio.sleep(_SETTLE_SECONDS)
    idle = target.tree.rss_bytes()
    async with driver.hold(target.address, HELD_STREAMS):
        held = target.tree.rss_bytes()
    return Footprint(start_seconds, idle, (held - idle) / HELD_STREAMS)


async def _with_cpu(target: Target, run: Awaitable[Load]) -> Measured:
    before = _cpu_seconds(target)
    load = await run
    return Measured(load, _cpu_seconds(target) - before)


def _cpu_seconds(target: Target) -> float:
    return target.tree.cpu_seconds() if target.tree else float("nan")


def percentile(values: Sequence[float], percent: int) -> float:
    """That percentile, or NaN of nothing."""
    if len(values) < 2:
        return values[0] if values else float("nan")
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def ratio(value: float, by: float) -> float:
    """The quotient, or NaN if there is none."""
    return value / by if by else float("nan")


def medians(results: Sequence[T]) -> T:
    """The median of each field over several results of one kind."""
    kind = type(results[0])
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: median(getattr(result, name) for result in results) for name in names})
