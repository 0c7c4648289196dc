"""A drill from its order to its report.

It is stopped on SIGINT and SIGTERM and when one of our own clients is left without an answer. The proxy ends it by its
own clock, and when any request fails, whether we are still there or not.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TextIO

import aiohttp
import msgspec

from proxy import signals
from proxy.clock import Clock, SystemClock
from proxy.core.drill_report import Report
from proxy.drill import page
from proxy.drill.desk import Desk
from proxy.drill.options import Options
from proxy.drill.traffic import Traffic
from proxy.errors import HotspareError

EXIT_RESCUED: Final = 0
EXIT_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130
_GLANCE_SECONDS: Final = 1.0


class ReportUnwritable(HotspareError):
    """The report was said, and could not be kept."""


async def drill(options: Options, out: TextIO) -> int:
    """Run one; its exit code: 0 everybody rescued, 1 not, 130 interrupted. Raises DrillRefused, ReportUnwritable."""
    stopping = asyncio.Event()
    signals.install(stopping, stopping.set)
    async with aiohttp.ClientSession() as session:
        traffic = Traffic(session, options)
        desk = Desk(session, options.admin)
        return await _Session(options, out, SystemClock(), desk, traffic, stopping).run()


@dataclass(slots=True)
class _Session:
    """One drill."""

    options: Options
    out: TextIO
    clock: Clock
    desk: Desk
    traffic: Traffic
    stopping: asyncio.Event

    async def run(self) -> int:
        report = await self.desk.start(self.options)
        self._say(page.opening(report, self.options.clients))
        try:
            async with self.traffic.running():
                await self._watch(report)
        finally:
            report = await self.desk.stop(report.number)
            self._write(report)
        if self.stopping.is_set():
            return EXIT_INTERRUPTED
        return EXIT_RESCUED if page.is_good(report, self.traffic.failures) else EXIT_FAILED

    async def _watch(self, report: Report) -> None:
        """Until the upstream is back, or there is a reason not to wait for that."""
        give_up_at = self.clock.monotonic() + self.options.seconds + self.options.wait_seconds
        said = ""
        while not (self.stopping.is_set() or self.traffic.failed.is_set()):
            report = await self.desk.report(report.number)
            if (line := page.progress(report)) != said:
                self._say(said := line)
            if self._is_seen_out(report) or (report.end is not None and self.clock.monotonic() >= give_up_at):
                return
            await self._pause()

    def _is_seen_out(self, report: Report) -> bool:
        """With clients of our own, one of them has seen the upstream again."""
        return report.is_over and (not self.options.clients or report.first_answer_seconds is not None)

    async def _pause(self) -> None:
        waits = [asyncio.create_task(event.wait()) for event in (self.stopping, self.traffic.failed)]
        await asyncio.wait(waits, timeout=_GLANCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    def _write(self, report: Report) -> None:
        failures = self.traffic.failures
        self._say("\n" + page.closing(report, self.traffic.answered, failures))
        if self.options.json:
            clients = {"answered": self.traffic.answered, "failed": len(failures)}
            said = msgspec.structs.asdict(report) | {"clients": clients}
            try:
                self.options.json.write_bytes(msgspec.json.format(msgspec.json.encode(said), indent=2) + b"\n")
            except OSError as error:
                raise ReportUnwritable(f"cannot write {self.options.json}: {error.strerror}") from None

    def _say(self, text: str) -> None:
        """Whoever has stopped reading does not stop the drill's report."""
        with suppress(BrokenPipeError):
            print(text, file=self.out, flush=True)
