"""The pages for operators: metrics that Prometheus reads, and health that an orchestrator acts on."""

import asyncio
from typing import Any

import aiohttp
import pytest
from prometheus_client import CONTENT_TYPE_LATEST

from proxy.core.breaker import State
from proxy.core.candidates import Need
from proxy.core.outcome import Kind
from proxy.core.suspicion import Doubt
from proxy.telemetry.events import Endpoint, Phase, Result
from tests.fakes.behaviour import Behaviour
from tests.fakes.upstream import FaultUpstream
from tests.integration.raw import connected, request
from tests.integration.scrape import Scrape, is_idle, scrape, scrape_until
from tests.running import QUESTION, TIMEOUTS, alone, running_proxy

OPENAI_DOWN = "breaker: {consecutive: 2, cooldown: 1m}, probe: false"


def before_local(cloud: FaultUpstream, local: FaultUpstream, extra: str = "") -> str:
    return f"""
upstreams: [{{name: cloud, base_url: "{cloud.base_url}", api_key: k, {TIMEOUTS}, {OPENAI_DOWN}}}]
local: {{url: "{local.base_url}", served_model: stand-in}}
{extra}
"""


async def ask(session: aiohttp.ClientSession, base_url: str, **fields: Any) -> int:
    async with session.post(f"{base_url}/chat/completions", json={**QUESTION, **fields}) as answer:
        await answer.read()
        return answer.status


async def outage(session: aiohttp.ClientSession, base_url: str) -> Scrape:
    """Four requests, streamed every second one; then the metrics, once all are accounted for."""
    for stream in (False, True, False, True):
        assert await ask(session, base_url, stream=stream, tools=[{"type": "function"}]) == 200
    return await scrape_until(session, base_url, is_idle)


async def test_metrics_count_an_outage_that_clients_did_not_notice(
    upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    upstream.behaviour = Behaviour.ERROR_529
    async with FaultUpstream() as local, running_proxy(before_local(upstream, local)) as (_, base_url):
        seen = await outage(session, base_url)
    to_local = {"from_upstream": "cloud", "to_upstream": "local"}
    found = [
        (seen.value("hotspare_requests_total", endpoint="chat/completions", result="answered", upstream="local"), 4),
        (seen.value("hotspare_request_duration_seconds_count", endpoint="chat/completions", upstream="local"), 4),
        (seen.value("hotspare_time_to_first_content_seconds_count", endpoint="chat/completions", upstream="local"), 2),
        (seen.value("hotspare_attempts_total", upstream="cloud", outcome="server_error"), 2),
        (seen.value("hotspare_attempts_total", upstream="local", outcome="ok"), 4),
        (seen.value("hotspare_attempt_duration_seconds_count", upstream="cloud"), 2),
        (seen.value("hotspare_failovers_total", **to_local, reason="server_error"), 2),
        (seen.value("hotspare_failovers_total", **to_local, reason="breaker_open"), 2),
        (seen.value("hotspare_breaker_transitions_total", upstream="cloud", state="open"), 1),
        (seen.value("hotspare_breakers", upstream="cloud", state="open"), 1),
        (seen.value("hotspare_breakers", upstream="cloud", state="closed"), 0),
        (seen.value("hotspare_requests_in_flight"), 0),
    ]
    assert [value for value, _ in found] == [expected for _, expected in found]
    assert len(upstream.requests) == 2


async def test_metrics_count_callers_errors_and_failures_apart(
    upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    upstream.script(Behaviour.BAD_REQUEST_400, Behaviour.ERROR_529, Behaviour.NO_FINISH)
    async with running_proxy(alone(upstream)) as (_, base_url):
        statuses = [await ask(session, base_url, stream=stream) for stream in (False, False, True)]
        async with session.post(f"{base_url}/chat/completions", data=b"{") as answer:
            statuses.append(answer.status)
        seen = await scrape_until(session, base_url, is_idle)
    assert statuses == [400, 503, 200, 415]
    chat = {"endpoint": "chat/completions"}
    assert seen.value("hotspare_requests_total", **chat, result="caller_error", upstream="cloud") == 1
    assert seen.value("hotspare_requests_total", **chat, result="caller_error", upstream="none") == 1
    assert seen.value("hotspare_requests_total", **chat, result="unavailable", upstream="none") == 1
    assert seen.value("hotspare_requests_total", **chat, result="broken_off", upstream="cloud") == 1
    assert seen.value("hotspare_attempts_total", upstream="cloud", outcome="cut") == 1


async def test_requests_are_in_flight_while_they_are_served(
    upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    upstream.behaviour = Behaviour.SLOW_FIRST
    upstream.delay_seconds = 0.2
    async with running_proxy(alone(upstream)) as (_, base_url):
        asking = [asyncio.create_task(ask(session, base_url)) for _ in range(3)]
        await upstream.wait_for(lambda u: len(u.requests) == 3)
        during = await scrape(session, base_url)
        await asyncio.gather(*asking)
        after = await scrape_until(session, base_url, is_idle)
    assert during.value("hotspare_requests_in_flight") == 3
    assert after.value("hotspare_requests_in_flight") == 0


async def test_labels_come_from_closed_sets_whatever_clients_invent(
    upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    upstream.behaviour = Behaviour.ERROR_529
    async with FaultUpstream() as local, running_proxy(before_local(upstream, local)) as (_, base_url):
        for invented in ("invented-model-1", "invented/model 2", 'invented"3\n'):
            headers = {"x-request-id": f"invented-{len(invented)}", "User-Agent": "invented-agent"}
            question = {**QUESTION, "model": invented}
            async with session.post(f"{base_url}/chat/completions", json=question, headers=headers) as answer:
                assert answer.status == 200
            async with session.request("GET", f"{base_url}/invented/path") as answer:
                await answer.read()
        async with connected(base_url) as connection:
            await connection.ask(request("INVENTED", "/v1/chat/completions"))
        seen = await scrape_until(session, base_url, is_idle)
    words = (Endpoint, Result, Kind, State, Phase, Need, Doubt)
    closed = {"cloud", "local", "none", "chat", "stream"} | {member.value for word in words for member in word}
    assert seen.label_values <= closed


async def test_every_metric_is_ours_explained_and_in_base_units(
    upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    async with (
        running_proxy(alone(upstream)) as (_, base_url),
        session.get(base_url.replace("/v1", "/metrics")) as answer,
    ):
        families = Scrape(await answer.text()).families
    assert answer.headers["Content-Type"] == CONTENT_TYPE_LATEST
    assert {family.name.partition("_")[0] for family in families} == {"hotspare"}
    assert all(family.documentation for family in families)
    assert all(family.name.endswith("_seconds") for family in families if family.type == "histogram")


async def test_operations_pages_are_no_requests_of_clients(
    upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    async with running_proxy(alone(upstream)) as (_, base_url):
        for page in ("/livez", "/readyz", "/metrics"):
            async with session.get(base_url.replace("/v1", page)) as answer:
                assert answer.status == 200
        seen = await scrape(session, base_url)
    assert "other" not in seen.label_values


async def readiness(session: aiohttp.ClientSession, base_url: str) -> tuple[int, dict[str, Any]]:
    async with session.get(base_url.replace("/v1", "/readyz")) as answer:
        return answer.status, await answer.json()


async def test_fresh_proxy_is_alive_and_ready(upstream: FaultUpstream, session: aiohttp.ClientSession) -> None:
    async with running_proxy(alone(upstream)) as (_, base_url):
        async with session.get(base_url.replace("/v1", "/livez")) as answer:
            assert (answer.status, await answer.text()) == (200, "ok\n")
        status, report = await readiness(session, base_url)
    assert (status, report["ready"], report["upstreams"], report["local"]) == (200, True, {"cloud": "up"}, None)


async def test_proxy_without_anybody_to_ask_is_not_ready_and_names_who_is_missing(
    upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    upstream.behaviour = Behaviour.ERROR_503
    async with running_proxy(alone(upstream, f"api_key: k, {OPENAI_DOWN}")) as (_, base_url):
        for _ in range(2):
            assert await ask(session, base_url) == 503
        status, report = await readiness(session, base_url)
        async with session.get(base_url.replace("/v1", "/livez")) as alive:
            assert alive.status == 200
    assert (status, report["ready"], report["upstreams"], report["local"]) == (503, False, {"cloud": "down"}, None)


async def test_proxy_whose_cloud_is_down_is_ready_while_the_local_model_is(
    upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    upstream.behaviour = Behaviour.ERROR_529
    async with FaultUpstream() as local, running_proxy(before_local(upstream, local)) as (_, base_url):
        for _ in range(2):
            assert await ask(session, base_url) == 200
        status, report = await readiness(session, base_url)
    assert (status, report["upstreams"], report["local"]) == (200, {"cloud": "down"}, "ready")


async def until_unready(session: aiohttp.ClientSession, base_url: str) -> dict[str, Any]:
    status = 200
    while status == 200:
        status, report = await readiness(session, base_url)
    return report


@pytest.mark.slow
async def test_proxy_that_drains_is_not_ready(upstream: FaultUpstream, session: aiohttp.ClientSession) -> None:
    upstream.behaviour = Behaviour.SLOW_FIRST
    config = f"{alone(upstream)}admin: {{listen: '127.0.0.1:0'}}"
    async with running_proxy(config) as (hotspare, base_url):
        host, port = hotspare.addresses[0]
        asking = asyncio.create_task(ask(session, base_url))
        watching = asyncio.create_task(until_unready(session, f"http://{host}:{port}/v1"))
        await upstream.wait_for(lambda u: len(u.requests) == 1)
    report = await watching
    assert (report["draining"], report["upstreams"], await asking) == (True, {"cloud": "up"}, 200)


async def test_pages_with_an_address_of_their_own_are_answered_there_only(
    upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    async with running_proxy(f"{alone(upstream)}admin: {{listen: '127.0.0.1:0'}}") as (hotspare, base_url):
        assert await ask(session, base_url) == 200
        (host, admin), (_, api) = hotspare.addresses
        statuses = {}
        for page in ("/metrics", "/livez", "/readyz", "/v1/models"):
            for name, port in (("admin", admin), ("api", api)):
                async with session.get(f"http://{host}:{port}{page}") as answer:
                    statuses[name, page] = answer.status
    assert statuses == {
        **{("admin", page): 200 for page in ("/metrics", "/livez", "/readyz")},
        **{("api", page): 404 for page in ("/metrics", "/livez", "/readyz")},
        ("admin", "/v1/models"): 404,
        ("api", "/v1/models"): 200,
    }


@pytest.mark.parametrize("page", ["/metrics", "/livez", "/readyz"])
async def test_pages_are_only_read(page: str, upstream: FaultUpstream) -> None:
    async with running_proxy(alone(upstream)) as (_, base_url), connected(base_url) as connection:
        answer = await connection.ask(request("POST", page))
    assert (answer.status, answer.header("allow")) == (405, "GET,HEAD")
