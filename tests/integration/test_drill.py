"""Drills on a running proxy: whoever is affected is rescued, and no drill goes on for longer than it was told to."""

import asyncio
import json
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from proxy.app import Hotspare
from proxy.config.load import parse
from proxy.core.drill_report import HARMLESS, MIDWAY, SLOW, Shape
from tests.fakes.upstream import FaultUpstream
from tests.integration.wall import ShiftedClock
from tests.running import QUESTION, ROOT, alone, failing_over, running_proxy

ALLOWED = "drills: {allow: true}\n"
NOBODY_THERE = "http://127.0.0.1:9/v1"
QUICK = "api_key: sk-upstream, breaker: {consecutive: 3, cooldown: 300ms, successes: 1, ramp: 300ms}"


def allowing(upstream: FaultUpstream, local_url: str, extra: str = QUICK) -> str:
    return ALLOWED + failing_over(upstream, local_url, extra)


NOBODY_TO_RESCUE = {
    *((shape, stream) for shape in (*HARMLESS, Shape.DECAY) for stream in (True, False)),
    (Shape.SLOW_TOKENS, True),
}
"""Some drills have none, and one has none at its beginning."""

ASKING = MIDWAY | SLOW | {Shape.STATUS_500_ONCE}
"""Where the real upstream is asked for what it gives, or is asked again."""


class Console:
    """An operator at the pages, and a client at the API."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session = session
        self._base_url = base_url
        self._page = f"{base_url.removesuffix('/v1')}/drills"

    async def order(self, **order: Any) -> tuple[int, dict[str, Any]]:
        async with self._session.post(self._page, json=order) as answer:
            return answer.status, await answer.json()

    async def reports(self) -> list[dict[str, Any]]:
        async with self._session.get(self._page) as answer:
            return list((await answer.json())["reports"])

    async def report_when(self, **facts: Any) -> dict[str, Any]:
        """The last report, once these stand in it."""
        while True:
            report = (await self.reports())[-1]
            if report | facts == report:
                return report
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        async with self._session.delete(self._page) as answer:
            assert answer.status == 200

    async def ask(self, *, stream: bool) -> tuple[int, str, bytes]:
        """Status, who answered, and the body."""
        question = {**QUESTION, "stream": stream, "max_tokens": 8}
        async with self._session.post(f"{self._base_url}/chat/completions", json=question) as answer:
            return answer.status, answer.headers["x-hotspare-upstream"], await answer.read()


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "stream"),
    [(shape, stream) for shape in Shape for stream in (True, False) if (shape, stream) not in NOBODY_TO_RESCUE],
)
async def test_every_shape_is_rescued_and_reported(
    shape: Shape, stream: bool, upstream: FaultUpstream, local_url: str, session: aiohttp.ClientSession
) -> None:
    async with running_proxy(allowing(upstream, local_url)) as (_, base_url):
        console = Console(session, base_url)
        assert (await console.order(shape=shape, seconds=30))[0] == 201
        status, _, body = await console.ask(stream=stream)
        report = await console.report_when(affected=1)
        await console.stop()
    assert status == 200
    assert b'"content"' in body
    assert body.endswith(b"data: [DONE]\n\n") is stream
    assert (report["shape"], report["rescued"], report["failed"], report["end"]) == (shape, 1, 0, None)
    assert report["attempts_broken"] >= 1
    assert report["rescue_seconds"] > 0
    assert len(upstream.requests) == (1 if shape in ASKING else 0)


@pytest.mark.slow
async def test_nobody_is_rescued_from_a_stream_that_is_slow(
    upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    async with FaultUpstream() as local, running_proxy(allowing(upstream, local.base_url)) as (_, base_url):
        console = Console(session, base_url)
        await console.order(shape=Shape.SLOW_TOKENS, seconds=60)
        asking = asyncio.create_task(console.ask(stream=True))
        await upstream.wait_for(lambda u: len(u.requests) == 1)
        await console.report_when(attempts_broken=1)
        await console.stop()
        status, who, body = await asking
        report = await console.report_when(affected=0)
    assert (status, who, body.endswith(b"data: [DONE]\n\n")) == (200, "cloud", True)
    assert (report["failed"], report["left"]) == (0, 0)


@pytest.mark.model
@pytest.mark.slow
async def test_breaker_detects_a_drill_and_closes_after_it(
    upstream: FaultUpstream, local_url: str, session: aiohttp.ClientSession
) -> None:
    async with running_proxy(allowing(upstream, local_url)) as (_, base_url):
        console = Console(session, base_url)
        await console.order(shape="refused", seconds=30)
        for _ in range(4):
            assert (await console.ask(stream=True))[1] == "local"
        await console.report_when(affected=4)
        await console.stop()
        async with asyncio.timeout(20):
            while (await console.reports())[-1]["first_answer_seconds"] is None:
                await console.ask(stream=True)
            report = await console.report_when(end="asked")
            while report["return_seconds"] is None:
                await console.ask(stream=True)
                report = (await console.reports())[-1]
    assert report["detect_seconds"] is not None
    assert report["failed"] == 0
    assert report["rescued"] == report["affected"]


async def test_drill_ends_by_the_proxys_clock(upstream: FaultUpstream, session: aiohttp.ClientSession) -> None:
    async with FaultUpstream() as local, running_proxy(allowing(upstream, local.base_url)) as (_, base_url):
        console = Console(session, base_url)
        await console.order(shape="html", seconds=0.2)
        report = await console.report_when(end="time")
        assert (await console.ask(stream=True))[1] == "cloud"
    assert report["ran_seconds"] == pytest.approx(0.2)


async def test_end_of_a_drill_frees_who_waits(upstream: FaultUpstream, session: aiohttp.ClientSession) -> None:
    async with FaultUpstream() as local:
        patient = allowing(upstream, local.base_url).replace("first_content: 700ms", "first_content: 9s")
        async with running_proxy(patient + "\n") as (_, base_url):
            console = Console(session, base_url)
            await console.order(shape="silent", seconds=60)
            asking = asyncio.create_task(console.ask(stream=True))
            await console.report_when(attempts_broken=1)
            await console.stop()
            assert (await asking)[:2] == (200, "local")


async def test_drill_stops_at_the_first_request_that_fails(
    upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    async with running_proxy(allowing(upstream, NOBODY_THERE)) as (_, base_url):
        console = Console(session, base_url)
        await console.order(shape="refused", seconds=60)
        assert (await console.ask(stream=True))[0] == 503
        report = await console.report_when(end="failure")
        assert (await console.ask(stream=True))[1] == "cloud"
    assert (report["failed"], report["rescued"]) == (1, 0)


async def test_half_of_the_requests_is_left_alone(upstream: FaultUpstream, session: aiohttp.ClientSession) -> None:
    many = "api_key: k, breaker: {consecutive: 1000, minimum: 1000}"
    async with FaultUpstream() as local, running_proxy(allowing(upstream, local.base_url, many)) as (_, base_url):
        console = Console(session, base_url)
        await console.order(shape="reset", seconds=60, share=0.5)
        by = [(await console.ask(stream=False))[1] for _ in range(60)]
        await console.stop()
    assert 10 < by.count("local") < 50  # five standard deviations


async def test_own_embeddings_are_no_drills(upstream: FaultUpstream, session: aiohttp.ClientSession) -> None:
    async with FaultUpstream() as local, running_proxy(allowing(upstream, local.base_url)) as (_, base_url):
        console = Console(session, base_url)
        await console.order(shape="refused", seconds=60)
        async with session.post(f"{base_url}/embeddings", json={"model": "e", "input": "x"}) as answer:
            assert (answer.status, answer.headers["x-hotspare-upstream"]) == (200, "cloud")


@pytest.mark.parametrize(
    ("order", "status", "says"),
    [
        ({"shape": "refused", "seconds": 0}, 400, "> 0"),
        ({"shape": "refused", "seconds": 3601}, 400, "<= 3600"),
        ({"shape": "refused", "seconds": 1, "share": 1.1}, 400, "<= 1"),
        ({"shape": "sulking", "seconds": 1}, 400, "sulking"),
        ({"shape": "refused", "seconds": 1, "upstream": "elsewhere"}, 400, "there are: cloud, local"),
        ({"shape": "refused", "seconds": 1, "upstream": ["cloud", 7]}, 400, "upstream"),
        ({"shape": "refused", "seconds": 1, "forr": 1}, 400, "forr"),
    ],
)
async def test_order_that_makes_no_sense_is_refused(
    order: dict[str, Any], status: int, says: str, upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    async with running_proxy(allowing(upstream, NOBODY_THERE)) as (_, base_url):
        answered = await Console(session, base_url).order(**order)
        assert await Console(session, base_url).reports() == []
    assert answered[0] == status
    assert says in answered[1]["error"]["message"]


async def test_second_drill_has_to_wait(upstream: FaultUpstream, session: aiohttp.ClientSession) -> None:
    async with running_proxy(allowing(upstream, NOBODY_THERE)) as (_, base_url):
        console = Console(session, base_url)
        statuses = [(await console.order(shape="refused", seconds=60))[0] for _ in range(2)]
        await console.stop()
        statuses.append((await console.order(shape="refused", seconds=60))[0])
    assert statuses == [201, 409, 201]


async def test_no_drill_where_nobody_could_stand_in(upstream: FaultUpstream, session: aiohttp.ClientSession) -> None:
    async with running_proxy(ALLOWED + alone(upstream)) as (_, base_url):
        assert (await Console(session, base_url).order(shape="refused", seconds=60))[0] == 409


async def test_no_drill_unless_it_is_allowed(upstream: FaultUpstream, session: aiohttp.ClientSession) -> None:
    async with running_proxy(alone(upstream)) as (_, base_url):
        assert (await Console(session, base_url).order(shape="refused", seconds=60))[0] == 404


async def test_web_page_cannot_order_a_drill(upstream: FaultUpstream, session: aiohttp.ClientSession) -> None:
    async with running_proxy(allowing(upstream, NOBODY_THERE)) as (_, base_url):
        order, fields = b'{"shape": "refused", "seconds": 60}', {"Content-Type": "text/plain"}
        page = f"{base_url.removesuffix('/v1')}/drills"
        async with session.post(page, data=order, headers=fields) as answer:
            assert answer.status == 415


# ---- the command


class Command:
    """`hotspare drill` as a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def says(self, text: str) -> None:
        """Read until it says so."""
        assert self.process.stdout
        while text not in (line := (await self.process.stdout.readline()).decode()):
            assert line, "the drill ended before that"

    async def rest(self) -> tuple[int, str]:
        """Its exit code, and what it says until then."""
        said, _ = await self.process.communicate()
        return self.process.returncode or 0, said.decode()


async def command(base_url: str, *arguments: str) -> Command:
    given = ("drill", "--proxy", base_url, "--wait", "10s", *arguments)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy.cli", *given), cwd=ROOT, stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )
    return Command(process)


@pytest.mark.model
@pytest.mark.slow
async def test_command_drills_with_clients_of_its_own(upstream: FaultUpstream, local_url: str, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    async with running_proxy(allowing(upstream, local_url)) as (_, base_url):
        arguments = ("--shape", "cut", "--for", "4s", "--clients", "2", "--json", str(file))
        code, said = await (await command(base_url, *arguments)).rest()
    report = json.loads(file.read_bytes())
    assert (code, "RESCUED" in said) == (0, True), said
    assert report["rescued"] == report["affected"] > 0
    assert report["clients"]["failed"] == 0


@pytest.mark.slow
async def test_command_drills_one_model_of_all_clouds(upstream: FaultUpstream, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    async with FaultUpstream() as local, running_proxy(allowing(upstream, local.base_url)) as (_, base_url):
        whom = ("--upstream", "all", "--only-model", "gpt-4o", "--clients", "1")
        running = await command(base_url, "--shape", "status_503", "--for", "3s", *whom, "--json", str(file))
        await running.says("drill 1: cloud (gpt-4o only) to look dead")
        code, said = await running.rest()
    report = json.loads(file.read_bytes())
    assert (code, "RESCUED" in said) == (0, True), said
    assert (report["upstreams"], report["model"]) == (["cloud"], "gpt-4o")


@pytest.mark.slow
async def test_command_is_content_where_nobody_noticed(upstream: FaultUpstream) -> None:
    async with FaultUpstream() as local, running_proxy(allowing(upstream, local.base_url)) as (_, base_url):
        code, said = await (await command(base_url, "--shape", "no_done", "--for", "2s", "--clients", "1")).rest()
    assert (code, "UNNOTICED" in said) == (0, True), said


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_command_stops_the_drill_when_interrupted(
    number: signal.Signals, upstream: FaultUpstream, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    file = tmp_path / "report.json"
    async with FaultUpstream() as local, running_proxy(allowing(upstream, local.base_url)) as (_, base_url):
        running = await command(base_url, "--shape", "refused", "--for", "60s", "--json", str(file))
        await running.says("affected 0")
        running.process.send_signal(number)
        code, said = await running.rest()
        report = await Console(session, base_url).report_when(end="asked")
    assert code == 130, said
    assert report["ran_seconds"] < 30
    assert json.loads(file.read_bytes())["end"] == "asked"


@pytest.mark.slow
async def test_drill_ends_in_time_though_the_command_was_killed(
    upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    async with FaultUpstream() as local, running_proxy(allowing(upstream, local.base_url)) as (_, base_url):
        running = await command(base_url, "--shape", "refused", "--for", "1s")
        await running.says("affected 0")
        running.process.kill()
        await running.rest()
        report = await Console(session, base_url).report_when(end="time")
        assert (await Console(session, base_url).ask(stream=True))[1] == "cloud"
    assert report["ran_seconds"] == pytest.approx(1.0)


@pytest.mark.slow
async def test_command_fails_when_somebody_was_left_without_an_answer(upstream: FaultUpstream) -> None:
    async with running_proxy(allowing(upstream, NOBODY_THERE)) as (_, base_url):
        arguments = ("--shape", "status_503", "--for", "60s", "--clients", "1")
        code, said = await (await command(base_url, *arguments)).rest()
    assert (code, "FAILED" in said) == (1, True), said


@pytest.mark.slow
async def test_command_says_what_is_missing(upstream: FaultUpstream) -> None:
    async with running_proxy(alone(upstream)) as (_, base_url):
        code, said = await (await command(base_url, "--shape", "dns", "--for", "1s")).rest()
    assert code == 1
    assert "drills: {allow: true}" in said
    assert "Traceback" not in said


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [("--shape", "sulking", "--for", "1s"), ("--shape", "dns", "--for", "1 day"), ("--shape", "dns", "--share", "0")],
)
async def test_wrong_usage_is_explained(arguments: tuple[str, ...]) -> None:
    code, said = await (await command("http://127.0.0.1:9", *arguments)).rest()
    assert code == 2
    assert said.startswith("usage: hotspare drill")


@pytest.mark.slow
async def test_scheduled_drill_begins_by_the_clock_on_the_wall(
    upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    soon = datetime.now(UTC).astimezone().replace(tzinfo=None)
    clock = ShiftedClock(soon.replace(hour=9, minute=59, second=59, microsecond=500_000) - soon)
    at = f"{soon:%a} 10:00"
    schedule = f"drills: {{allow: true, schedule: [{{at: {at}, shape: html, upstream: cloud, for: 1m}}]}}\n"
    async with FaultUpstream() as local:
        config = parse(f"listen: 127.0.0.1:0\n{schedule}{failing_over(upstream, local.base_url)}", {}, file="t.yaml")
        hotspare = Hotspare(config, clock=clock)
        await hotspare.start()
        try:
            base_url = "http://{}:{}/v1".format(*hotspare.addresses[-1])
            console = Console(session, base_url)
            async with asyncio.timeout(10):
                while not await console.reports():
                    await asyncio.sleep(0.05)
            assert (await console.ask(stream=True))[1] == "local"
        finally:
            await hotspare.stop()
