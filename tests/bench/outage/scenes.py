"""What is measured: time lost before the first content and in the middle, time added, and attempts at the upstream."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.bench.outage.client import Client, Heard
from tests.bench.outage.stage import LIMIT_SECONDS, SURE, Stage
from tests.bench.serving.figures import percentile
from tests.fakes import doors
from tests.fakes.behaviour import Behaviour
from tests.fakes.upstream import FaultUpstream

RATE = 20
"""Requests a second while attempts are counted."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How many requests for each figure, how many of them at a time where each waits for long, and for how long
    attempts are counted, after so much time in which all is well and limits are learnt.
    """

    quick: int = 1000
    slow: int = 64
    at_once: int = 8
    seconds: float = 60.0
    warm_seconds: float = 6.0


@dataclass(frozen=True, slots=True)
class Times:
    """One row. `aim_seconds` is what the 99th percentile may be at most; None where there is nothing to aim at."""

    label: str
    seconds: Sequence[float]
    aim_seconds: float | None
    failed: int

    def __str__(self) -> str:
        p50, p99 = (percentile(self.seconds, percent) * 1000 for percent in (50, 99))
        aim = "" if self.aim_seconds is None else f"   aim: p99 at most {self.aim_seconds * 1000:.0f}"
        failed = f"   {self.failed} failed" if self.failed else ""
        return f"{self.label:<56}{len(self.seconds):>6}{p50:>10.1f}{p99:>10.1f}{aim}{failed}"


@dataclass(frozen=True, slots=True)
class Attempts:
    """Exchanges with a cloud that is down, by the second."""

    label: str
    by_second: Sequence[int]
    requests: int
    failed: int

    def __str__(self) -> str:
        total, seconds = sum(self.by_second), len(self.by_second)
        busiest = max(self.by_second, default=0)
        return (
            f"{self.label}: {self.requests} requests in {seconds} s, {self.failed} failed; {total} attempts, "
            f"{total / max(seconds, 1):.2f}/s, {busiest} in the busiest second (aim: 3/s)"
        )


@asynccontextmanager
async def failing(behaviour: Behaviour) -> AsyncIterator[str]:
    """A cloud that does that."""
    async with FaultUpstream(behaviour=behaviour) as upstream:
        yield upstream.base_url


async def refused(stage: Stage, plan: Plan) -> Times:
    """Nobody listens: what a client waits longer for its first content than the local model takes."""
    async with doors.refused() as url, stage.proxied(url) as client:
        pairs = [(await stage.direct.ask(), await client.ask()) for _ in range(plan.quick)]
    return _lost("lost: connection refused", pairs, lambda heard: heard.first_seconds, 0.05)


async def hung(stage: Stage, plan: Plan) -> Times:
    """It takes requests and says nothing: likewise. Its limit is part of it."""
    async with failing(Behaviour.HANG) as url, stage.proxied(url) as client:
        pairs = await _pairs(stage.direct, client, plan)
    return _lost(
        f"lost: hang, limit {LIMIT_SECONDS:g} s", pairs, lambda heard: heard.first_seconds, LIMIT_SECONDS + 0.05
    )


async def stalled(stage: Stage, plan: Plan) -> Times:
    """It stops in the middle: the longest pause, less what the local model takes for its first content."""
    async with failing(Behaviour.STALL) as url, stage.proxied(url) as client:
        pairs = await _pairs(stage.direct, client, plan)
    label = f"lost: stall, limit {LIMIT_SECONDS:g} s"
    return _lost(label, pairs, lambda heard: heard.longest_gap_seconds, LIMIT_SECONDS + 0.05)


async def added(stage: Stage, plan: Plan, *, is_stream: bool) -> list[Times]:
    """The breaker is open: what the proxy takes longer than the local model itself, the two asked in turn."""
    async with failing(Behaviour.ERROR_503) as url, stage.proxied(url, SURE) as client:
        for _ in range(4):
            await client.ask()
        pairs = [
            (await stage.direct.ask(is_stream=is_stream), await client.ask(is_stream=is_stream))
            for _ in range(plan.quick)
        ]
    label = "breaker open, streamed" if is_stream else "breaker open, not streamed"
    direct, through = ([heard.first_seconds for heard in heard_by] for heard_by in zip(*pairs, strict=True))
    added_p99 = percentile(through, 99) - percentile(direct, 99)
    failed = sum(not heard.is_good for _, heard in pairs)
    return [
        Times(f"{label}: asked directly", direct, None, 0),
        Times(f"{label}: added p99 {added_p99 * 1000:.2f} ms (aim: 2)", through, None, failed),
    ]


async def attempts(stage: Stage, plan: Plan, behaviour: Behaviour) -> Attempts:
    """An outage under steady traffic, with every setting as it comes."""
    async with FaultUpstream() as cloud, stage.proxied(cloud.base_url, "{}", limits=False) as client:
        asking = [task async for _, task in _steadily(client, plan.warm_seconds)]
        cloud.behaviour, before, by_second = behaviour, _posts(cloud), list[int]()
        warm = len(asking)
        async for seconds, task in _steadily(client, plan.seconds):
            asking.append(task)
            if seconds >= len(by_second) + 1:
                by_second.append(_posts(cloud) - before - sum(by_second))
        by_second.append(_posts(cloud) - before - sum(by_second))
        heard = await asyncio.gather(*asking, return_exceptions=True)
    failed = sum(isinstance(each, BaseException) or not each.is_good for each in heard)
    return Attempts(f"outage, {behaviour.name.lower()}", by_second, len(asking) - warm, failed)


async def _steadily(client: Client, for_seconds: float) -> AsyncIterator[tuple[float, asyncio.Task[Heard]]]:
    """Requests at RATE, whether those before have their answers or not; each with the time that has passed."""
    loop, count = asyncio.get_running_loop(), 0
    began_at = loop.time()
    while (seconds := loop.time() - began_at) < for_seconds:
        if count <= seconds * RATE:
            count += 1
            yield seconds, asyncio.create_task(client.ask())
        else:
            await asyncio.sleep(1 / RATE / 4)


def _posts(cloud: FaultUpstream) -> int:
    return sum(request.method == "POST" for request in cloud.requests)


async def _pairs(direct: Client, through: Client, plan: Plan) -> list[tuple[Heard, Heard]]:
    """The local model itself before each batch, as what it takes changes with the machine's mood."""
    pairs: list[tuple[Heard, Heard]] = []
    while len(pairs) < plan.slow:
        alone = await _at_once(direct.ask, plan.at_once)
        pairs += zip(alone, await _at_once(through.ask, plan.at_once), strict=True)
    return pairs


async def _at_once(ask: Callable[[], Awaitable[Heard]], count: int) -> list[Heard]:
    return list(await asyncio.gather(*(ask() for _ in range(count))))


def _lost(label: str, pairs: Sequence[tuple[Heard, Heard]], read: Callable[[Heard], float], aim: float) -> Times:
    usual = percentile([direct.first_seconds for direct, _ in pairs], 50)
    failed = sum(not heard.is_good for _, heard in pairs)
    return Times(label, [read(heard) - usual for _, heard in pairs if heard.is_good], aim, failed)
