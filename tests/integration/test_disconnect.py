"""A client that leaves costs nothing: the upstream is told to stop, nobody is blamed, and no slot stays taken."""

import asyncio

import aiohttp
import pytest

from tests.fakes.behaviour import Behaviour
from tests.fakes.upstream import FaultUpstream
from tests.integration.raw import Connection, connected, request
from tests.integration.scrape import Scrape, is_idle, scrape_until
from tests.running import MODEL, QUESTION, alone, failing_over, running_proxy

CHAT = "/v1/chat/completions"
TRIPS_AT_ONCE = "api_key: k, breaker: {consecutive: 1, minimum: 1}"

UNSTREAMED = b'{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}'
STREAMED = UNSTREAMED[:-1] + b',"stream":true}'


def patient(upstream: FaultUpstream) -> str:
    """A configuration whose own limits do not end a request while the test runs."""
    return f"""
upstreams: [{{name: cloud, base_url: "{upstream.base_url}", {TRIPS_AT_ONCE}}}]
local: false
limits: {{drain: 1s}}
"""


def gone(reading: Scrape, endpoint: str = "chat/completions", upstream: str = "none") -> float | None:
    return reading.value("hotspare_requests_total", endpoint=endpoint, result="client_gone", upstream=upstream)


async def leave(connection: Connection, upstream: FaultUpstream) -> None:
    connection.writer.close()
    await upstream.wait_for(lambda u: u.hung_up == 1)


@pytest.mark.parametrize("behaviour", [Behaviour.HANG, Behaviour.HEADERS_THEN_HANG, Behaviour.STALL])
@pytest.mark.parametrize("body", [UNSTREAMED, STREAMED], ids=["unstreamed", "streamed"])
async def test_client_that_leaves_before_its_answer_is_complete_stops_the_upstream(
    behaviour: Behaviour, body: bytes, upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    upstream.behaviour = behaviour
    async with running_proxy(patient(upstream)) as (_, base_url):
        async with connected(base_url) as connection:
            await connection.send(request("POST", CHAT, body))
            await upstream.wait_for(lambda u: len(u.requests) == 1)
            await leave(connection, upstream)
        seen = await scrape_until(session, base_url, is_idle)
        is_committed = (behaviour, body) == (Behaviour.STALL, STREAMED)
        assert gone(seen, upstream="cloud" if is_committed else "none") == 1
        assert seen.value("hotspare_attempts_total", upstream="cloud", outcome="client_gone") == 1
        assert seen.value("hotspare_breakers", upstream="cloud", state="closed") == 1
    assert len(upstream.requests) == 1


async def test_client_that_leaves_in_the_middle_of_a_stream_stops_the_upstream(
    upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    upstream.words = ("word",) * 10_000
    upstream.gap_seconds = 0.001
    async with running_proxy(patient(upstream)) as (_, base_url):
        async with connected(base_url) as connection:
            await connection.send(request("POST", CHAT, STREAMED))
            await connection.reader.readuntil(b'"word"')
            await leave(connection, upstream)
        seen = await scrape_until(session, base_url, is_idle)
        assert gone(seen, upstream="cloud") == 1
        assert seen.value("hotspare_breakers", upstream="cloud", state="closed") == 1
    assert upstream.answered == 0


async def test_clients_that_leave_in_crowds_do_not_trip_the_breaker(
    upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    upstream.behaviour = Behaviour.HANG
    crowd = 30
    async with running_proxy(patient(upstream)) as (_, base_url):
        connections = [connected(base_url) for _ in range(crowd)]
        for each in connections:
            connection = await each.__aenter__()
            await connection.send(request("POST", CHAT, STREAMED))
        await upstream.wait_for(lambda u: len(u.requests) == crowd)
        for each in connections:
            await each.__aexit__(None, None, None)
        await upstream.wait_for(lambda u: u.hung_up == crowd)
        seen = await scrape_until(session, base_url, is_idle)
        assert gone(seen) == crowd
        assert seen.value("hotspare_breakers", upstream="cloud", state="closed") == 1
        upstream.behaviour = Behaviour.OK
        async with session.post(f"{base_url}/chat/completions", json=QUESTION) as answer:
            assert answer.headers["x-hotspare-upstream"] == "cloud"


@pytest.mark.parametrize("behaviour", [Behaviour.HANG, Behaviour.STALL])
async def test_client_that_leaves_a_path_that_is_passed_on_stops_the_upstream(
    behaviour: Behaviour, upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    upstream.behaviour = behaviour
    async with running_proxy(patient(upstream)) as (_, base_url):
        async with connected(base_url) as connection:
            await connection.send(request("POST", "/v1/files", b"0123456789"))
            await upstream.wait_for(lambda u: len(u.requests) == 1)
            await leave(connection, upstream)
        seen = await scrape_until(session, base_url, is_idle)
    assert gone(seen, endpoint="other", upstream="cloud") == 1


async def test_client_that_leaves_while_it_uploads_is_gone(
    upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    async with running_proxy(patient(upstream)) as (_, base_url):
        for path in (CHAT, "/v1/files"):
            async with connected(base_url) as connection:
                await connection.send(request("POST", path, content_type="application/json", content_length="9") + b"{")
        seen = await scrape_until(
            session, base_url, lambda r: bool(gone(r)) and bool(gone(r, endpoint="other", upstream="cloud"))
        )
    assert is_idle(seen)
    assert upstream.requests == []


@pytest.mark.parametrize("stream", [False, True], ids=["unstreamed", "streamed"])
async def test_client_that_leaves_during_failover_starts_nothing_more(
    stream: bool, upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    upstream.behaviour = Behaviour.ERROR_529
    async with FaultUpstream(behaviour=Behaviour.HANG) as local:
        config = f"""
upstreams: [{{name: cloud, base_url: "{upstream.base_url}", api_key: k}}]
local: {{url: "{local.base_url}", served_model: stand-in}}
"""
        async with running_proxy(config) as (_, base_url):
            async with connected(base_url) as connection:
                await connection.send(request("POST", CHAT, STREAMED if stream else UNSTREAMED))
                await local.wait_for(lambda u: len(u.requests) == 1)
                await leave(connection, local)
            seen = await scrape_until(session, base_url, is_idle)
        assert gone(seen) == 1
        assert (len(upstream.requests), len(local.requests)) == (1, 1)


async def busy(local_url: str) -> int:
    """How many sequences the model server runs or holds."""
    connector = aiohttp.UnixConnector(local_url.removeprefix("unix://"))
    async with aiohttp.ClientSession(connector=connector) as session, session.get("http://local/health") as answer:
        health = await answer.json()
        return int(health["running"]) + int(health["queued"])


async def until_busy(local_url: str, count: int) -> None:
    async with asyncio.timeout(10):
        while await busy(local_url) != count:
            pass


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("stream", [False, True], ids=["unstreamed", "streamed"])
async def test_client_that_leaves_frees_its_slot_of_the_local_model(
    stream: bool, upstream: FaultUpstream, local_url: str
) -> None:
    await upstream.stop()
    endless = b',"max_tokens":7000,"logit_bias":{"0":-100,"2":-100}}'
    async with running_proxy(failing_over(upstream, local_url)) as (_, base_url):
        async with connected(base_url) as connection:
            body = (STREAMED if stream else UNSTREAMED)[:-1] + endless
            await connection.send(request("POST", CHAT, body.replace(b"gpt-4o", MODEL.encode())))
            await until_busy(local_url, 1)
        await until_busy(local_url, 0)
        assert await busy(local_url) == 0


async def test_client_that_has_its_answer_was_not_gone(upstream: FaultUpstream, session: aiohttp.ClientSession) -> None:
    async with running_proxy(alone(upstream)) as (_, base_url):
        for body in (UNSTREAMED, STREAMED):
            async with connected(base_url) as connection:
                answer = await connection.ask(request("POST", CHAT, body))
                assert answer.status == 200
        seen = await scrape_until(session, base_url, is_idle)
    assert "client_gone" not in seen.label_values


@pytest.mark.parametrize("lane", ["true", "false"])
async def test_client_that_does_not_read_is_cut_off(
    lane: str, upstream: FaultUpstream, session: aiohttp.ClientSession
) -> None:
    upstream.words = ("word " * 20_000,) * 200
    config = f"fast_lane: {lane}\n" + alone(upstream).replace("drain: 1s", "drain: 1s, write_timeout: 300ms")
    streamed = STREAMED[:-1] + b',"max_tokens":200}'
    async with running_proxy(config) as (_, base_url), connected(base_url) as connection:
        await connection.send(request("POST", CHAT, streamed))
        await upstream.wait_for(lambda it: it.hung_up == 1)
        seen = await scrape_until(session, base_url, is_idle)
    assert gone(seen, upstream="cloud") == 1
