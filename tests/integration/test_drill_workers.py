"""Drills of a fleet, as real processes: every worker takes part, and whoever is asked answers for all."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from openai import AsyncOpenAI

from proxy.config.load import Source
from proxy.workers.fleet import Fleet
from tests.fakes.upstream import FaultUpstream
from tests.integration.fleet import Line, RunningFleet, free_port, running_fleet
from tests.integration.wall import ShiftedClock
from tests.running import PATIENT, QUESTION, ROOT

pytestmark = pytest.mark.slow

NOBODY_THERE = "http://127.0.0.1:9/v1"
UNSHAKEN = "breaker: {consecutive: 100000, minimum: 100000}"
"""No attempt is spared because a breaker is open."""
CLIENTS = 16
"""The kernel deals connections out by chance: that one of two workers gets none is as likely as 1 in 32,768."""

Report = dict[str, Any]


def drilling(cloud: FaultUpstream, local_url: str, breaker: str = UNSHAKEN, drills: str = "{allow: true}") -> str:
    return f"""
drills: {drills}
upstreams: [{{name: cloud, base_url: "{cloud.base_url}", api_key: k, {PATIENT}, {breaker}}}]
local: {{url: "{local_url}", served_model: stand-in}}
limits: {{drain: 5s}}
"""


class Operator:
    """Asks on a new connection each time, so that now this worker answers and now that one."""

    def __init__(self, base_url: str) -> None:
        self._page = f"{base_url.removesuffix('/v1')}/drills"

    async def order(self, shape: str = "status_503", seconds: float = 600) -> tuple[int, Report]:
        return await self.ask("POST", json={"shape": shape, "seconds": seconds})

    async def reports(self) -> list[Report]:
        return list((await self.ask("GET"))[1]["reports"])

    async def stop(self) -> list[Report]:
        return list((await self.ask("DELETE"))[1]["reports"])

    async def report_when(self, **facts: Any) -> Report:
        """The last report, once these stand in it. Raises TimeoutError."""
        async with asyncio.timeout(30):
            while True:
                report = (await self.reports())[-1]
                if report | facts == report:
                    return report
                await asyncio.sleep(0.05)

    async def ask(self, method: str, **options: Any) -> tuple[int, dict[str, Any]]:
        """Status and body."""
        async with aiohttp.ClientSession() as session, session.request(method, self._page, **options) as answer:
            return answer.status, await answer.json()


class Crowd:
    """Clients of the real SDK that ask for as long as they are let, each on a connection of its own."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._is_over = False
        self.answered = 0

    @asynccontextmanager
    async def asking(self) -> AsyncIterator["Crowd"]:
        """All ask while the context lasts; the first failure of any is raised at its end."""
        asking = [asyncio.create_task(self._client(is_stream=bool(number % 2))) for number in range(CLIENTS)]
        try:
            yield self
        finally:
            self._is_over = True
            await asyncio.gather(*asking)

    async def has_asked(self, times: int) -> None:
        """Wait until so many more have been answered. Raises TimeoutError."""
        enough = self.answered + times
        async with asyncio.timeout(60):
            while self.answered < enough:
                await asyncio.sleep(0.02)

    async def _client(self, *, is_stream: bool) -> None:
        async with AsyncOpenAI(base_url=self._base_url, api_key="sk", max_retries=0, timeout=60) as client:
            while not self._is_over:
                assert await (_stream(client) if is_stream else _whole(client))
                self.answered += 1


async def _whole(client: AsyncOpenAI) -> str | None:
    return (await client.chat.completions.create(**QUESTION)).choices[0].message.content


async def _stream(client: AsyncOpenAI) -> str:
    stream = await client.chat.completions.create(**QUESTION, stream=True)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])


async def answerers(base_url: str, times: int) -> set[str]:
    """Who answers requests that each come on a connection of their own."""
    found = set()
    for _ in range(times):
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{base_url}/chat/completions", json=QUESTION) as answer,
        ):
            await answer.read()
            found.add(answer.headers["x-hotspare-upstream"])
    return found


def breakers(fleet: RunningFleet) -> set[int]:
    """The numbers of the workers whose attempts were broken."""
    return {line["worker"] for line in fleet.said("attempt") if line["upstream"] == "cloud"}


async def broken_by(fleet: RunningFleet, workers: set[int]) -> None:
    """Wait until each of them has logged one. Lines are written in batches: the last die with who is killed."""
    async with asyncio.timeout(40), fleet.changed:
        await fleet.changed.wait_for(lambda: breakers(fleet) == workers)


def drill_lines(fleet: RunningFleet) -> list[Line]:
    return fleet.said("drill ")


async def test_all_workers_break_attempts_and_all_clients_are_rescued(upstream: FaultUpstream, tmp_path: Path) -> None:
    async with (
        FaultUpstream() as local,
        running_fleet(tmp_path, drilling(upstream, local.base_url)) as fleet,
        Crowd(fleet.base_url).asking() as crowd,
    ):
        operator = Operator(fleet.base_url)
        assert (await operator.order())[0] == 201
        assert (await operator.order())[0] == 409
        await crowd.has_asked(10 * CLIENTS)
        (report,) = await operator.stop()
        await fleet.says("drill over")
        await broken_by(fleet, {1, 2})
    assert report["rescued"] == report["affected"] >= 9 * CLIENTS
    assert (report["end"], report["failed"], report["left"]) == ("asked", 0, 0)
    assert report["attempts_broken"] >= report["affected"]
    assert [line["message"] for line in drill_lines(fleet)] == ["drill began", "drill over"]
    assert not any("worker" in line for line in drill_lines(fleet))


async def test_whoever_is_asked_answers_for_all(upstream: FaultUpstream, tmp_path: Path) -> None:
    async with FaultUpstream() as local, running_fleet(tmp_path, drilling(upstream, local.base_url)) as fleet:
        operator = Operator(fleet.base_url)
        await operator.order()
        assert await answerers(fleet.base_url, 12) == {"local"}
        await operator.report_when(affected=12)
        seen = [(report["number"], report["affected"]) for _ in range(12) for report in await operator.reports()]
        await operator.stop()
        ends = [report["end"] for _ in range(12) for report in await operator.reports()]
        assert await answerers(fleet.base_url, 12) == {"cloud"}
    assert seen == [(1, 12)] * 12
    assert ends == ["asked"] * 12


async def test_breaker_that_opens_in_one_worker_is_waited_for_in_all(upstream: FaultUpstream, tmp_path: Path) -> None:
    quick = "breaker: {consecutive: 3, cooldown: 300ms, successes: 1, ramp: 300ms}"
    async with FaultUpstream() as local, running_fleet(tmp_path, drilling(upstream, local.base_url, quick)) as fleet:
        operator = Operator(fleet.base_url)
        await operator.order()
        await answerers(fleet.base_url, 12)
        await operator.stop()
        await fleet.says("drill over")
        report = await operator.report_when(affected=12)
    assert [line["message"] for line in drill_lines(fleet)] == ["drill began", "drill ended", "drill over"]
    assert report["detect_seconds"] >= 0
    assert report["return_seconds"] > 0


async def test_request_that_fails_in_one_worker_ends_the_drill_in_all(upstream: FaultUpstream, tmp_path: Path) -> None:
    async with running_fleet(tmp_path, drilling(upstream, NOBODY_THERE)) as fleet:
        operator = Operator(fleet.base_url)
        await operator.order()
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{fleet.base_url}/chat/completions", json=QUESTION) as answer:
                assert answer.status == 503
            report = await operator.report_when(end="failure")
        assert await answerers(fleet.base_url, 12) == {"cloud"}
    assert (report["failed"], report["rescued"]) == (1, 0)


async def test_killed_worker_ends_no_drill_and_takes_no_counts_with_it(upstream: FaultUpstream, tmp_path: Path) -> None:
    async with FaultUpstream() as local, running_fleet(tmp_path, drilling(upstream, local.base_url)) as fleet:
        operator = Operator(fleet.base_url)
        await operator.order()
        await answerers(fleet.base_url, 20)
        await operator.report_when(affected=20)
        await broken_by(fleet, {1, 2})
        os.kill(min(fleet.workers), signal.SIGKILL)
        await fleet.says("worker ready", 3)
        assert await answerers(fleet.base_url, 24) == {"local"}
        report = await operator.report_when(affected=44)
        await broken_by(fleet, {1, 2, 3})
    assert (report["end"], report["rescued"], report["failed"]) == (None, 44, 0)


async def test_drill_goes_on_while_all_workers_are_replaced(upstream: FaultUpstream, tmp_path: Path) -> None:
    async with FaultUpstream() as local, running_fleet(tmp_path, drilling(upstream, local.base_url)) as fleet:
        operator = Operator(fleet.base_url)
        await operator.order()
        await answerers(fleet.base_url, 20)
        fleet.process.send_signal(signal.SIGHUP)
        await fleet.says("worker ended", 2)
        assert await answerers(fleet.base_url, 24) == {"local"}
        report = await operator.report_when(affected=44)
        await broken_by(fleet, {1, 2, 3, 4})
    assert (report["end"], report["rescued"]) == (None, 44)


async def test_workers_end_it_in_time_though_the_parent_hangs(upstream: FaultUpstream, tmp_path: Path) -> None:
    async with FaultUpstream() as local, running_fleet(tmp_path, drilling(upstream, local.base_url)) as fleet:
        operator = Operator(fleet.base_url)
        assert (await operator.order(seconds=1))[0] == 201
        fleet.process.send_signal(signal.SIGSTOP)
        try:
            async with asyncio.timeout(20):
                while await answerers(fleet.base_url, 6) != {"cloud"}:
                    await asyncio.sleep(0.1)
            assert (await operator.ask("GET"))[0] == 503
        finally:
            fleet.process.send_signal(signal.SIGCONT)
        assert (await operator.report_when(end="time"))["ran_seconds"] == pytest.approx(1.0)


async def test_page_with_an_address_of_its_own_is_the_parents(upstream: FaultUpstream, tmp_path: Path) -> None:
    async with FaultUpstream() as local:
        admin = f"127.0.0.1:{free_port()}"
        config = f"{drilling(upstream, local.base_url)}admin: {{listen: '{admin}'}}"
        async with running_fleet(tmp_path, config) as fleet:
            operator = Operator(f"http://{admin}")
            assert (await operator.order())[0] == 201
            assert await answerers(fleet.base_url, 12) == {"local"}
            await operator.report_when(affected=12)
            assert [report["end"] for report in await operator.stop()] == ["asked"]


async def test_command_drills_a_fleet(upstream: FaultUpstream, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    async with FaultUpstream() as local, running_fleet(tmp_path, drilling(upstream, local.base_url)) as fleet:
        given = ("--proxy", fleet.base_url, "--shape", "reset", "--for", "3s", "--clients", "4", "--json", str(file))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "proxy.cli", "drill", *given), cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await process.communicate()
    report = json.loads(file.read_bytes())
    assert (process.returncode, b"RESCUED" in said) == (0, True), said
    assert report["rescued"] == report["affected"] > 0
    assert report["clients"]["failed"] == 0


async def test_scheduled_drill_begins_once_for_all_workers(
    upstream: FaultUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    now = datetime.now(UTC).astimezone().replace(tzinfo=None)
    clock = ShiftedClock(now.replace(hour=9, minute=59, second=58, microsecond=0) - now)
    drills = f"{{allow: true, schedule: [{{at: {now:%a} 10:00, shape: html, upstream: cloud, for: 2s}}]}}"
    async with FaultUpstream() as local:
        text = f"listen: 127.0.0.1:0\nworkers: 2\n{drilling(upstream, local.base_url, drills=drills)}"
        source = Source("test.yaml", text)
        fleet = Fleet(source, source.parse({}), 2, clock)
        await fleet.start()
        try:
            operator = Operator("http://{}:{}".format(*fleet.address))
            async with asyncio.timeout(30):
                while not await operator.reports():
                    await asyncio.sleep(0.05)
            await operator.report_when(end="time")
            assert len(await operator.reports()) == 1
        finally:
            await fleet.stop()
    said = [record.getMessage() for record in caplog.records if record.getMessage().startswith("drill ")]
    assert said == ["drill began", "drill over"]
