"""Several workers on one port, as real processes: shared, killed, replaced, orphaned."""

import asyncio
import os
import resource
import signal
from collections.abc import Collection
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.fakes.behaviour import Behaviour
from tests.fakes.upstream import FaultUpstream
from tests.integration.fleet import RunningFleet, command, free_port, running_fleet
from tests.integration.scrape import Scrape, is_idle, scrape, scrape_until
from tests.running import PATIENT, QUESTION, ROOT, is_running, waited_for

pytestmark = pytest.mark.slow

ANSWERED = {"endpoint": "chat/completions", "result": "answered"}


def before_local(cloud: FaultUpstream, local: FaultUpstream) -> str:
    return f"""
upstreams: [{{name: cloud, base_url: "{cloud.base_url}", api_key: k, {PATIENT}, breaker: {{cooldown: 1m}}}}]
local: {{url: "{local.base_url}", served_model: stand-in}}
limits: {{drain: 2s}}
"""


async def ask(session: aiohttp.ClientSession, base_url: str, **options: Any) -> int:
    async with session.post(f"{base_url}/chat/completions", json=QUESTION, **options) as answer:
        await answer.read()
        return answer.status


async def ask_afresh(base_url: str, times: int) -> list[int]:
    """Each on a connection of its own, all at once: the kernel deals them out among the workers."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True, limit=0)) as session:
        return list(await asyncio.gather(*(ask(session, base_url) for _ in range(times))))


async def gone(pids: Collection[int]) -> None:
    """Wait until none of the processes runs; they are not our children. Raises TimeoutError."""
    async with asyncio.timeout(10):
        while any(map(is_running, pids)):
            await asyncio.sleep(0.02)


async def news_arrived(session: aiohttp.ClientSession, base_url: str) -> None:
    """Links keep the order, so a worker that has answered a second scrape has heard all that came before the first."""
    for _ in range(2):
        await scrape_until(session, base_url, is_idle)


async def test_all_workers_answer_on_one_port(upstream: FaultUpstream, tmp_path: Path) -> None:
    async with running_fleet(tmp_path, waited_for(upstream)) as fleet:
        assert await ask_afresh(fleet.base_url, 40) == [200] * 40
        await fleet.says("request", 40)
    assert {line["worker"] for line in fleet.said("request")} == {1, 2}
    assert len(fleet.said("serving on")) == 1


async def test_breaker_that_trips_in_one_worker_refuses_in_all(
    upstream: FaultUpstream, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    upstream.behaviour = Behaviour.ERROR_503
    async with FaultUpstream() as local, running_fleet(tmp_path, before_local(upstream, local)) as fleet:
        for _ in range(3):
            assert await ask(session, fleet.base_url) == 200
        await news_arrived(session, fleet.base_url)
        assert await ask_afresh(fleet.base_url, 30) == [200] * 30
        seen = await scrape_until(session, fleet.base_url, is_idle)
    assert len(upstream.requests) == 3
    assert seen.value("hotspare_attempts_total", upstream="cloud", outcome="server_error") == 3
    assert seen.value("hotspare_breaker_transitions_total", upstream="cloud", state="open") == 1
    assert seen.value("hotspare_breakers", upstream="cloud", state="open") == 1


async def test_worker_that_comes_later_is_told_what_is_open(
    upstream: FaultUpstream, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    upstream.behaviour = Behaviour.ERROR_503
    async with FaultUpstream() as local, running_fleet(tmp_path, before_local(upstream, local)) as fleet:
        for _ in range(3):
            await ask(session, fleet.base_url)
        await news_arrived(session, fleet.base_url)
        for pid in fleet.workers:
            os.kill(pid, signal.SIGKILL)
        await fleet.says("worker ready", 4)
        assert await ask_afresh(fleet.base_url, 20) == [200] * 20
    assert len(upstream.requests) == 3


async def test_metrics_are_those_of_all_workers_also_of_dead_ones(
    upstream: FaultUpstream, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with running_fleet(tmp_path, waited_for(upstream)) as fleet:
        await ask_afresh(fleet.base_url, 20)
        before = await scrape_until(session, fleet.base_url, is_idle)
        os.kill(min(fleet.workers), signal.SIGKILL)
        await fleet.says("worker ended")
        await ask_afresh(fleet.base_url, 10)
        after = await scrape_until_counted(fleet, 30)
    assert before.value("hotspare_requests_total", **ANSWERED, upstream="cloud") == 20
    assert before.value("hotspare_build_info", version=fleet_version(before)) == 1
    assert after.value("hotspare_requests_in_flight") == 0
    assert after.value("hotspare_request_duration_seconds_count", endpoint="chat/completions", upstream="cloud") == 30
    assert after.value("hotspare_worker_restarts_total") == 1


def fleet_version(reading: Scrape) -> str:
    (family,) = [family for family in reading.families if family.name == "hotspare_build_info"]
    return family.samples[0].labels["version"]


async def scrape_until_counted(fleet: RunningFleet, requests: int) -> Scrape:
    def is_counted(reading: Scrape) -> bool:
        return reading.value("hotspare_requests_total", **ANSWERED, upstream="cloud") == requests and is_idle(reading)

    # The session that had a connection to the killed worker is of no use any more.
    async with aiohttp.ClientSession() as session:
        return await scrape_until(session, fleet.base_url, is_counted)


async def test_requests_in_flight_add_up(
    upstream: FaultUpstream, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    upstream.behaviour = Behaviour.SLOW_FIRST
    upstream.delay_seconds = 0.5
    async with running_fleet(tmp_path, waited_for(upstream)) as fleet:
        asking = asyncio.create_task(ask_afresh(fleet.base_url, 10))
        await upstream.wait_for(lambda u: len(u.requests) == 10)
        during = await scrape(session, fleet.base_url)
        await asking
    assert during.value("hotspare_requests_in_flight") == 10


async def test_scrape_does_not_wait_for_a_worker_that_hangs(upstream: FaultUpstream, tmp_path: Path) -> None:
    admin = f"127.0.0.1:{free_port()}"
    config = f"{waited_for(upstream)}admin: {{listen: '{admin}'}}"
    async with running_fleet(tmp_path, config) as fleet, aiohttp.ClientSession() as session:
        await ask_afresh(fleet.base_url, 20)
        await scrape_until(session, f"http://{admin}", is_idle)
        hung = min(fleet.workers)
        os.kill(hung, signal.SIGSTOP)
        seen = await scrape(session, f"http://{admin}")
        os.kill(hung, signal.SIGCONT)
    assert seen.value("hotspare_requests_total", **ANSWERED, upstream="cloud") == 20


async def test_pages_with_an_address_of_their_own_are_the_fleets(upstream: FaultUpstream, tmp_path: Path) -> None:
    admin = f"127.0.0.1:{free_port()}"
    config = f"{waited_for(upstream)}admin: {{listen: '{admin}'}}"
    async with running_fleet(tmp_path, config) as fleet, aiohttp.ClientSession() as session:
        assert await ask_afresh(fleet.base_url, 3) == [200] * 3
        async with session.get(f"http://{admin}/readyz") as answer:
            report = await answer.json()
        async with session.get(fleet.base_url.replace("/v1", "/metrics")) as elsewhere:
            assert elsewhere.status == 404
    assert (answer.status, report["ready"], report["upstreams"]) == (200, True, {"cloud": "up"})


async def test_killed_worker_comes_back_and_no_later_request_is_lost(upstream: FaultUpstream, tmp_path: Path) -> None:
    async with running_fleet(tmp_path, waited_for(upstream)) as fleet:
        before = fleet.workers
        os.kill(min(before), signal.SIGKILL)
        statuses = await ask_afresh(fleet.base_url, 40)
        await fleet.says("worker ready", 3)
        after = fleet.workers
    assert statuses == [200] * 40
    assert after & before == {max(before)}
    assert len(after) == 2
    assert fleet.said("worker ended")[0]["detail"] == "killed by SIGKILL"


async def test_connections_wait_for_the_successor_when_all_workers_are_dead(
    upstream: FaultUpstream, tmp_path: Path
) -> None:
    async with running_fleet(tmp_path, waited_for(upstream)) as fleet:
        for pid in fleet.workers:
            os.kill(pid, signal.SIGKILL)
        assert await ask_afresh(fleet.base_url, 20) == [200] * 20


async def test_workers_are_replaced_under_load_without_a_failed_request(
    upstream: FaultUpstream, tmp_path: Path
) -> None:
    async with running_fleet(tmp_path, waited_for(upstream)) as fleet:
        before = fleet.workers
        replaced = asyncio.create_task(fleet.says("worker ended", 2))

        async def client() -> list[int]:
            """Asks on a kept connection until the old workers are gone, and a few times more."""
            async with aiohttp.ClientSession() as session:
                statuses = [await ask(session, fleet.base_url) for _ in range(5)]
                while not replaced.done() and len(statuses) < 3000:
                    statuses.append(await ask(session, fleet.base_url))
                return statuses + [await ask(session, fleet.base_url) for _ in range(5)]

        clients = [asyncio.create_task(client()) for _ in range(6)]
        fleet.process.send_signal(signal.SIGHUP)
        statuses = [status for each in await asyncio.gather(*clients) for status in each]
        await replaced
        after = fleet.workers
    assert set(statuses) == {200}
    assert (len(after), after & before) == (2, set())


async def test_stream_under_way_ends_well_while_its_worker_is_replaced(upstream: FaultUpstream, tmp_path: Path) -> None:
    upstream.gap_seconds = 0.3
    async with running_fleet(tmp_path, waited_for(upstream)) as fleet, aiohttp.ClientSession() as session:
        async with session.post(f"{fleet.base_url}/chat/completions", json={**QUESTION, "stream": True}) as answer:
            first = await answer.content.readline()
            fleet.process.send_signal(signal.SIGHUP)
            await fleet.says("worker ready", 4)
            body = first + await answer.read()
        await fleet.says("worker ended", 2)
    assert body.endswith(b"data: [DONE]\n\n")


async def test_replaced_workers_go_by_the_new_configuration(upstream: FaultUpstream, tmp_path: Path) -> None:
    async with running_fleet(tmp_path, waited_for(upstream)) as fleet, FaultUpstream() as other:
        text = fleet.config.read_text()
        fleet.config.write_text(text.replace(upstream.base_url, other.base_url).replace("workers: 2", "workers: 3"))
        fleet.process.send_signal(signal.SIGHUP)
        await fleet.says("all workers are replaced")
        await fleet.says("worker ended", 2)
        assert await ask_afresh(fleet.base_url, 10) == [200] * 10
        assert len(fleet.workers) == 2
    assert (len(upstream.requests), len(other.requests)) == (0, 10)
    assert len(fleet.said("changes of workers have no effect before a restart")) == 1


async def test_invalid_configuration_changes_nothing(upstream: FaultUpstream, tmp_path: Path) -> None:
    async with running_fleet(tmp_path, waited_for(upstream)) as fleet:
        before = fleet.workers
        fleet.config.write_text("upstreams: [{name: cloud, base_url: nowhere}]")
        fleet.process.send_signal(signal.SIGHUP)
        await fleet.says("the configuration is invalid")
        statuses = await ask_afresh(fleet.base_url, 10)
        assert fleet.workers == before
    assert statuses == [200] * 10
    assert "upstreams[0].base_url" in fleet.said("the configuration is invalid")[0]["message"]


async def test_sigterm_finishes_running_streams_and_exits_0(upstream: FaultUpstream, tmp_path: Path) -> None:
    upstream.gap_seconds = 0.1
    async with running_fleet(tmp_path, waited_for(upstream)) as fleet, aiohttp.ClientSession() as session:
        async with session.post(f"{fleet.base_url}/chat/completions", json={**QUESTION, "stream": True}) as answer:
            first = await answer.content.readline()
            fleet.process.send_signal(signal.SIGTERM)
            body = first + await answer.read()
        assert await fleet.ends() == 0
        with pytest.raises(aiohttp.ClientConnectionError):
            await ask(session, fleet.base_url)
    assert body.endswith(b"data: [DONE]\n\n")


async def test_second_signal_ends_all_at_once(upstream: FaultUpstream, tmp_path: Path) -> None:
    upstream.behaviour = Behaviour.HANG
    config = waited_for(upstream).replace("drain: 10s", "drain: 60s")
    async with running_fleet(tmp_path, config) as fleet:
        workers = fleet.workers
        asking = asyncio.create_task(ask_afresh(fleet.base_url, 2))
        await upstream.wait_for(lambda u: len(u.requests) == 2)
        fleet.process.send_signal(signal.SIGTERM)
        await fleet.says("worker draining", 2)
        fleet.process.send_signal(signal.SIGTERM)
        await fleet.ends()
        await gone(workers)
        with pytest.raises(aiohttp.ClientError):
            await asking


async def test_kill_9_of_the_parent_leaves_nobody_behind(upstream: FaultUpstream, tmp_path: Path) -> None:
    async with running_fleet(tmp_path, waited_for(upstream)) as fleet:
        workers = fleet.workers
        fleet.process.kill()
        await gone(workers)
    assert len(workers) == 2


async def test_one_process_is_not_replaced_and_says_so(upstream: FaultUpstream, tmp_path: Path) -> None:
    async with running_fleet(tmp_path, waited_for(upstream), workers=1) as fleet:
        fleet.process.send_signal(signal.SIGHUP)
        await fleet.says("SIGHUP changes nothing")
        assert await ask_afresh(fleet.base_url, 3) == [200] * 3
        assert fleet.children == []


@pytest.mark.parametrize("workers", [1, 2])
async def test_every_process_may_open_as_many_descriptors_as_it_is_allowed_to(
    workers: int, upstream: FaultUpstream, tmp_path: Path
) -> None:
    async with running_fleet(tmp_path, waited_for(upstream), workers) as fleet:
        limits = [resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in {fleet.process.pid, *fleet.workers}]
    assert all(soft == hard for soft, hard in limits)


async def test_second_fleet_does_not_take_a_share_of_the_port(upstream: FaultUpstream, tmp_path: Path) -> None:
    async with running_fleet(tmp_path, waited_for(upstream)) as fleet:
        port = fleet.base_url.removesuffix("/v1").rpartition(":")[2]
        text = fleet.config.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}")
        fleet.config.write_text(text)
        second = await asyncio.create_subprocess_exec(*command(fleet.config), stderr=asyncio.subprocess.PIPE, cwd=ROOT)
        _, said = await second.communicate()
    assert second.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}".encode() in said


@pytest.mark.model
@pytest.mark.usefixtures("model_file")
@pytest.mark.timeout(120)
async def test_one_model_server_serves_all_workers_and_is_doubted_by_all(tmp_path: Path) -> None:
    async with running_fleet(tmp_path, "limits: {deadline: 40s, drain: 2s}") as fleet:
        assert await ask_afresh(fleet.base_url, 6) == [200] * 6
        (model_server,) = fleet.model_servers
        os.kill(model_server, signal.SIGKILL)
        assert await ask_afresh(fleet.base_url, 6) == [200] * 6
        assert len(fleet.model_servers) == 1
        async with aiohttp.ClientSession() as session:
            seen = await scrape(session, fleet.base_url)
        workers = fleet.workers
    assert seen.value("hotspare_model_server_starts_total") == 2
    assert seen.value("hotspare_model_server_phase", phase="ready") == 1
    assert len(workers) == 2
    assert {line["worker"] for line in fleet.said("request")} == {1, 2}


@pytest.mark.model
async def test_spare_that_all_workers_share_is_woken_and_primed_by_any(
    upstream: FaultUpstream, session: aiohttp.ClientSession, tmp_path: Path, model_file: Path
) -> None:
    config = f"""
upstreams: [{{name: cloud, base_url: "{upstream.base_url}", api_key: k, {PATIENT}}}]
local: {{standby: cold, context: 512, pull: false}}
limits: {{drain: 2s}}
"""
    question = QUESTION | {"messages": [{"role": "system", "content": "Be brief."}, *QUESTION["messages"]]}
    async with running_fleet(tmp_path, config, log_level="debug") as fleet:
        await fleet.says("model server standby")
        assert fleet.model_servers == set()
        upstream.script(Behaviour.ERROR_529)
        assert await answered_by(session, fleet, question) == "local"
        assert len(fleet.model_servers) == 1
        async with asyncio.timeout(30):
            while not fleet.said("primed with"):
                assert await answered_by(session, fleet, question) == "cloud"
        assert not any("brief" in str(line) for line in fleet.lines)


async def answered_by(session: aiohttp.ClientSession, fleet: RunningFleet, question: dict[str, Any]) -> str:
    async with session.post(f"{fleet.base_url}/chat/completions", json=question) as answer:
        await answer.read()
        return answer.headers["x-hotspare-upstream"]
