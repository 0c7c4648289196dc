"""Where the workers meet: their news are passed on, what they counted is added up, one model server is shown to all.

A worker that is cut off from it serves on by what it sees itself.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from proxy.clock import Clock
from proxy.core.breaker import State
from proxy.core.standby import is_ill
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.page import page
from proxy.telemetry.tally import Snapshot, decode_snapshot, merged
from proxy.upstreams.gate import ModelGate
from proxy.workers.gate import seen
from proxy.workers.member import Member
from proxy.workers.messages import (
    BreakerMoved,
    Doubted,
    Exposition,
    Failed,
    News,
    Recovered,
    Report,
    Scrape,
    ToFleet,
    Wanted,
)
from proxy.workers.notices import Notices

REPORT_SECONDS: Final = 0.5
"""How long a scrape waits for a busy worker before it takes that one's last report."""


class Hub:
    """`members` are the workers that live; `metrics` are the fleet's own."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self.members: list[Member] = []
        self._gate: ModelGate | None = None
        self._metrics = metrics
        self._clock = clock
        self._notices = Notices()
        self._gone = Snapshot()
        self._reports = 0
        self._answering: set[asyncio.Task[None]] = set()

    def watch(self, gate: ModelGate) -> None:
        """There is a model server, and this is its gate. Whoever changes it calls `show_gate`."""
        self._gate = gate

    def join(self, member: Member) -> None:
        """A worker has begun: tell it what the others know."""
        self.members.append(member)
        if self._gate:
            member.send(seen(self._gate))
        for notice in self._notices.standing(self._clock.monotonic()):
            member.send(notice)

    def leave(self, member: Member) -> None:
        """A worker has ended. What it counted goes on counting."""
        self.members.remove(member)
        if member.last:
            self._gone = merged([self._gone, decode_snapshot(member.last.snapshot).remains()])

    def hear(self, member: Member, message: ToFleet) -> None:
        """Act on what a worker says."""
        match message:
            case BreakerMoved() | Failed() | Recovered():
                self._pass_on(member, message)
            case Doubted() if self._gate:
                self._gate.doubt()
            case Wanted() if self._gate:
                self._gate.want()
            case Scrape():
                task = asyncio.create_task(self._answer(member, message))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)

    def show_gate(self) -> None:
        """The model server or its gate has changed."""
        if self._gate:
            state = seen(self._gate)
            for member in self.members:
                member.send(state)

    async def collect(self) -> None:
        """Have all workers report anew; returns when they have, or have taken too long."""
        self._reports += 1
        number, asked = self._reports, list(self.members)
        for member in asked:
            member.send(Report(number))
        with suppress(TimeoutError):
            async with asyncio.timeout(REPORT_SECONDS):
                await asyncio.gather(*(member.reports(number) for member in asked))

    async def expose(self) -> tuple[bytes, str]:
        """The metrics of all, as of now, and their content type."""
        await self.collect()
        return await page(merged([self._metrics.snapshot(), self._gone, *self._snapshots()]))

    def breakers(self) -> Mapping[str, Mapping[State, int]]:
        """How many breakers of each upstream are in which state, over all workers as they last reported; none for an
        upstream that nobody has reported on."""
        total: defaultdict[str, Counter[State]] = defaultdict(Counter)
        for member in self.members:
            for upstream, states in (member.last.breakers if member.last else {}).items():
                total[upstream].update(states)
        return total

    def is_ill(self) -> bool:
        """Whether a breaker of any worker is not closed."""
        return is_ill(self.breakers())

    def _snapshots(self) -> list[Snapshot]:
        return [decode_snapshot(member.last.snapshot) for member in self.members if member.last]

    def _pass_on(self, sender: Member, news: News) -> None:
        if passed := self._notices.take(news, self._clock.monotonic()):
            for member in self.members:
                if member is not sender:
                    member.send(passed)

    async def _answer(self, member: Member, scrape: Scrape) -> None:
        body, content_type = await self.expose()
        member.send(Exposition(scrape.number, body, content_type))
