"""The local model is down as well: one clear refusal where nobody is left; nothing worse where somebody comes back."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from openai import APIError, AsyncOpenAI, InternalServerError

from proxy.app import Hotspare
from proxy.core.breaker import Permit
from proxy.core.health import Key
from proxy.core.outcome import Kind, Outcome
from tests.chaos.crowd import crowd
from tests.chaos.person import CHAT_MODEL, Person, Seen, Source, ask_at_once, errors, sdk
from tests.chaos.settings import BLIND, LASTING, PATIENT, QUICK, before, cloud, local_at
from tests.chaos.shapes import SHAPES, SILENT
from tests.fakes import doors
from tests.fakes.behaviour import Behaviour
from tests.fakes.upstream import FaultUpstream
from tests.running import MODEL, running_proxy

pytestmark = [pytest.mark.model, pytest.mark.slow]

PEOPLE = [Person(number) for number in range(16)]
STANDING_BY_SECONDS = 0.45
"""By then the local model has been asked beside the silent cloud (at a quarter of its limits, 0.175 and 0.25 s), and
the cloud's time is not over (0.7 s). Wherever the kill falls, the answers must come."""

OURS = f"local: {{model: {MODEL}, pull: false, canary: off}}"


def nowhere(folder: Path) -> str:
    """A model server that nobody has started."""
    return local_at(f"unix://{folder}/none.sock")


def model_server_of(hotspare: Hotspare) -> int:
    assert hotspare.model_server
    pid = hotspare.model_server.pid
    assert pid
    return pid


@pytest.mark.parametrize(
    "behaviour", [Behaviour.ERROR_503, Behaviour.HANG, Behaviour.RESET], ids=lambda b: b.name.lower()
)
async def test_nobody_is_left_and_everybody_is_told_so(
    behaviour: Behaviour, upstream: FaultUpstream, tmp_path: Path
) -> None:
    upstream.behaviour = behaviour
    config = before([cloud(upstream.base_url)], nowhere(tmp_path), deadline_seconds=6)
    async with running_proxy(config) as (_, base_url), sdk(base_url) as client:
        seen = await ask_at_once(client, PEOPLE)
    refusals = [error.response for error in errors(seen) if isinstance(error, InternalServerError)]
    assert [refusal.status_code for refusal in refusals] == [503] * len(PEOPLE)
    assert {refusal.headers["x-should-retry"] for refusal in refusals} == {"false"}
    assert all("cloud: " in refusal.text and "local: connect" in refusal.text for refusal in refusals)


FAILING_AT_ONCE = [
    shape
    for shape, expected in SHAPES.items()
    if expected.whole is Source.LOCAL and shape not in (*SILENT, Behaviour.STALL)
]


@pytest.mark.parametrize("behaviour", FAILING_AT_ONCE, ids=lambda behaviour: behaviour.name.lower())
@pytest.mark.parametrize("breaker", [BLIND, LASTING], ids=["blind", "lasting"])
async def test_nobody_waits_where_nobody_can_answer(
    behaviour: Behaviour, breaker: str, upstream: FaultUpstream, tmp_path: Path
) -> None:
    upstream.behaviour = behaviour
    people = [person for person in PEOPLE if SHAPES[behaviour].of(person) is not Source.CLOUD]
    config = before([cloud(upstream.base_url, breaker, timeouts=PATIENT)], nowhere(tmp_path), deadline_seconds=120)
    async with running_proxy(config) as (_, base_url), sdk(base_url) as client:
        seen = await ask_at_once(client, people)
    told = [error for error in errors(seen) if isinstance(error, APIError)]
    assert len(told) == len(people), "an error of the API's, not of the client's patience"
    unbegun = [one.error for one in seen if SHAPES[behaviour].of(one.person) is Source.LOCAL]
    assert [error.status_code for error in unbegun if isinstance(error, InternalServerError)] == [503] * len(unbegun)


@pytest.mark.parametrize("door", [doors.refused, doors.without_tls], ids=lambda door: door.__name__)
async def test_nobody_waits_where_nobody_opens(door: doors.Door, tmp_path: Path) -> None:
    async with door() as cloud_url:
        config = before([cloud(cloud_url, timeouts=PATIENT)], nowhere(tmp_path), deadline_seconds=120)
        async with running_proxy(config) as (_, base_url), sdk(base_url) as client:
            seen = await ask_at_once(client, PEOPLE)
    assert [type(error) for error in errors(seen)] == [InternalServerError] * len(PEOPLE)


def trip_by_silence(hotspare: Hotspare) -> None:
    """As if three clients had waited in vain."""
    key = Key("cloud", CHAT_MODEL)
    for _ in range(3):
        permit = hotspare.pool.acquire(key, "chat/completions")
        assert isinstance(permit, Permit)
        hotspare.pool.report(key, permit, Outcome(Kind.FIRST_CONTENT_TIMEOUT))


@pytest.mark.parametrize("behaviour", SILENT, ids=lambda behaviour: behaviour.name.lower())
@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
async def test_one_waits_for_a_silent_cloud_and_the_others_are_told_at_once(
    behaviour: Behaviour, is_stream: bool, upstream: FaultUpstream, tmp_path: Path
) -> None:
    upstream.behaviour = behaviour
    first, *others = [person for person in PEOPLE if person.is_streaming is is_stream]
    config = before([cloud(upstream.base_url, LASTING, timeouts=PATIENT)], nowhere(tmp_path), deadline_seconds=120)
    async with running_proxy(config) as (hotspare, base_url), sdk(base_url) as client:
        trip_by_silence(hotspare)
        waiting = asyncio.create_task(first.ask(client))
        await upstream.wait_for(lambda u: any(request.method == "POST" for request in u.requests))
        seen = await ask_at_once(client, others)
        has_waited = not waiting.done()
        upstream.behaviour = Behaviour.OK
        waiting.cancel()
    assert [type(error) for error in errors(seen)] == [InternalServerError] * len(others)
    assert has_waited


async def test_cloud_that_is_well_again_is_asked_at_once_where_nobody_else_is(
    upstream: FaultUpstream, tmp_path: Path
) -> None:
    upstream.behaviour = Behaviour.ERROR_503
    config = before([cloud(upstream.base_url, LASTING, timeouts=PATIENT)], nowhere(tmp_path))
    async with running_proxy(config) as (_, base_url), sdk(base_url) as client:
        refused = await ask_at_once(client, PEOPLE)
        upstream.behaviour = Behaviour.OK
        seen = await ask_at_once(client, PEOPLE)
    assert len(errors(refused)) == len(PEOPLE)
    assert [one.source for one in seen] == [Source.CLOUD] * len(PEOPLE)


@asynccontextmanager
async def supervised(upstream: FaultUpstream, breaker: str) -> AsyncIterator[tuple[Hotspare, AsyncOpenAI]]:
    """A proxy with a model server of its own, which is ready: it has answered once."""
    config = before([cloud(upstream.base_url, breaker)], OURS)
    async with running_proxy(config) as (hotspare, base_url), sdk(base_url) as client:
        whoever = Person(0, MODEL)
        assert await whoever.ask(client) == Seen(whoever, Source.LOCAL)
        yield hotspare, client


@pytest.mark.usefixtures("model_file")
async def test_local_model_is_killed_in_the_middle_of_an_outage(upstream: FaultUpstream) -> None:
    async with supervised(upstream, BLIND) as (hotspare, client):
        upstream.rotation = (Behaviour.ERROR_503, Behaviour.CUT, Behaviour.HANG)
        under_way = asyncio.create_task(ask_at_once(client, PEOPLE))
        await upstream.wait_for(lambda u: len(u.requests) >= len(PEOPLE))
        os.kill(model_server_of(hotspare), signal.SIGKILL)
        seen = await under_way
    assert errors(seen) == []
    assert {one.source for one in seen} <= {Source.LOCAL, Source.BOTH}


@pytest.mark.usefixtures("model_file")
async def test_local_model_dies_while_it_stands_by(upstream: FaultUpstream) -> None:
    async with supervised(upstream, BLIND) as (hotspare, client):
        upstream.behaviour = Behaviour.HANG
        first = model_server_of(hotspare)
        os.kill(first, signal.SIGSTOP)
        streaming = [person for person in PEOPLE if person.is_streaming]  # the others would give the cloud 10 s
        under_way = asyncio.create_task(ask_at_once(client, streaming))
        await asyncio.sleep(STANDING_BY_SECONDS)
        os.kill(first, signal.SIGKILL)
        seen = await under_way
    assert errors(seen) == []
    assert {one.source for one in seen} == {Source.LOCAL}


@pytest.mark.usefixtures("model_file")
async def test_all_goes_on_when_both_come_back(upstream: FaultUpstream) -> None:
    async with supervised(upstream, QUICK) as (hotspare, client), crowd(client, PEOPLE[:8]) as people:
        await people.until_all_see(Source.CLOUD)
        await upstream.stop()
        await people.until_all_see(Source.LOCAL)
        os.kill(model_server_of(hotspare), signal.SIGKILL)
        await people.until_all_see(Source.LOCAL)
        await upstream.start()
        await people.until_all_see(Source.CLOUD)
    assert errors(people.seen) == []
