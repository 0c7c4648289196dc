"""What must not happen: mistakes of callers that trip a breaker, and a dead upstream that is asked again and again."""

import time

import aiohttp

from tests.fakes.behaviour import Behaviour
from tests.fakes.upstream import FaultUpstream
from tests.integration.scrape import is_idle, scrape_until
from tests.running import MODEL, QUESTION, running_proxy

REFUSALS = (
    Behaviour.BAD_REQUEST_400,
    Behaviour.NOT_FOUND_404,
    Behaviour.UNPROCESSABLE_422,
    Behaviour.CONTEXT_LENGTH_400,
)


def before(cloud: FaultUpstream, local: FaultUpstream) -> str:
    return f"""
upstreams: [{{name: cloud, base_url: "{cloud.base_url}", api_key: k}}]
local: {{url: "{local.base_url}", served_model: {MODEL}}}
limits: {{drain: 1s}}
"""


async def test_a_thousand_callers_errors_arrive_unchanged_and_trip_nothing(upstream: FaultUpstream) -> None:
    async with (
        FaultUpstream() as local,
        running_proxy(before(upstream, local)) as (_, base_url),
        aiohttp.ClientSession() as session,
    ):
        for number in range(1000):
            upstream.behaviour = REFUSALS[number % len(REFUSALS)]
            async with session.post(f"{base_url}/chat/completions", json=QUESTION) as answer:
                assert (answer.status, await answer.read()) == (upstream.sent[-1].status, upstream.sent[-1].body)
        seen = await scrape_until(session, base_url, is_idle)
    assert seen.value("hotspare_breakers", upstream="cloud", state="closed") == 1
    assert local.requests == []


async def test_dead_upstream_is_left_alone(upstream: FaultUpstream) -> None:
    upstream.behaviour = Behaviour.ERROR_503
    upstream.check_behaviour = Behaviour.OK
    async with (
        FaultUpstream() as local,
        running_proxy(before(upstream, local)) as (_, base_url),
        aiohttp.ClientSession() as session,
    ):
        began_at = time.monotonic()
        for _ in range(1200):
            async with session.post(f"{base_url}/chat/completions", json=QUESTION) as answer:
                assert answer.headers["x-hotspare-upstream"] == "local"
        seconds = time.monotonic() - began_at
    asked = [request for request in upstream.requests if request.method == "POST"]
    assert len(asked) <= 3 + 3 * seconds, "three to find out, and three a second after that at most"
