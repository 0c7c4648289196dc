"""In every shape of failure every one of sixteen clients gets a complete and legal answer."""

import pytest
from openai import APIStatusError

from tests.chaos.person import Person, Source, ask_at_once, errors, sdk
from tests.chaos.settings import BLIND, FIRM_IN_THE_MIDDLE, LASTING, PATIENT, TIMEOUTS, before, cloud, local_at
from tests.chaos.shapes import CALLERS, SHAPES
from tests.fakes import doors
from tests.fakes.behaviour import Behaviour
from tests.fakes.upstream import FaultUpstream
from tests.running import running_proxy

pytestmark = [pytest.mark.model, pytest.mark.slow]

PEOPLE = [Person(number) for number in range(16)]
TIMEOUTS_WHERE = {Source.CLOUD: PATIENT, Source.BOTH: FIRM_IN_THE_MIDDLE, Source.LOCAL: TIMEOUTS}
"""Short only where they are what ends the wait: else a busy machine would run into them."""
SLOW_SECONDS = 3.0
"""Twice as long as a first content may take, and before anybody looks whether an unstreamed answer is late."""


def test_every_behaviour_has_a_verdict() -> None:
    assert SHAPES.keys() | set(CALLERS) == set(Behaviour)


@pytest.mark.parametrize("behaviour", SHAPES, ids=lambda behaviour: behaviour.name.lower())
async def test_everybody_is_answered(behaviour: Behaviour, upstream: FaultUpstream, local_url: str) -> None:
    upstream.behaviour = behaviour
    upstream.delay_seconds, upstream.token_gap_seconds = SLOW_SECONDS, 0.05
    timeouts = TIMEOUTS_WHERE[SHAPES[behaviour].streamed]
    config = before([cloud(upstream.base_url, BLIND, timeouts=timeouts)], local_at(local_url))
    async with running_proxy(config) as (_, base_url), sdk(base_url) as client:
        seen = await ask_at_once(client, PEOPLE)
    assert errors(seen) == []
    assert {one.person: one.source for one in seen} == {one: SHAPES[behaviour].of(one) for one in PEOPLE}


DOORS = [doors.refused, doors.unknown, doors.never_opened, doors.without_tls, doors.silent_tls]


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
async def test_everybody_is_answered_where_nobody_opens(door: doors.Door, local_url: str) -> None:
    async with door() as cloud_url:
        config = before([cloud(cloud_url, BLIND)], local_at(local_url))
        async with running_proxy(config) as (_, base_url), sdk(base_url) as client:
            seen = await ask_at_once(client, PEOPLE)
    assert errors(seen) == []
    assert {one.source for one in seen} == {Source.LOCAL}


async def test_slow_cloud_that_comes_in_time_is_waited_for(upstream: FaultUpstream, local_url: str) -> None:
    upstream.behaviour, upstream.delay_seconds = Behaviour.SLOW_FIRST, 1.0
    config = before([cloud(upstream.base_url, timeouts=PATIENT)], local_at(local_url))
    async with running_proxy(config) as (_, base_url), sdk(base_url) as client:
        seen = await ask_at_once(client, PEOPLE)
    assert [one.source for one in seen] == [Source.CLOUD] * len(PEOPLE)


async def test_one_fault_alone_costs_the_others_nothing(upstream: FaultUpstream, local_url: str) -> None:
    upstream.script(Behaviour.ERROR_500)
    config = before([cloud(upstream.base_url, LASTING, timeouts=PATIENT)], local_at(local_url))
    async with running_proxy(config) as (_, base_url), sdk(base_url) as client:
        seen = await ask_at_once(client, PEOPLE)
    assert errors(seen) == []
    assert [one.source for one in seen].count(Source.CLOUD) >= len(PEOPLE) - 1


async def test_one_request_in_three_fails_and_no_client_knows(upstream: FaultUpstream, local_url: str) -> None:
    upstream.rotation = (Behaviour.OK, Behaviour.ERROR_503, Behaviour.OK)
    config = before([cloud(upstream.base_url, LASTING)], local_at(local_url))
    async with running_proxy(config) as (_, base_url), sdk(base_url) as client:
        seen = [one for _ in range(2) for one in await ask_at_once(client, PEOPLE)]
    assert errors(seen) == []
    assert {one.source for one in seen} >= {Source.CLOUD}


async def test_one_model_alone_is_ill(upstream: FaultUpstream, local_url: str) -> None:
    upstream.by_model["gpt-4o-mini"] = Behaviour.ERROR_503
    people = [Person(number, "gpt-4o-mini" if number % 4 < 2 else "gpt-4o") for number in range(16)]
    config = before([cloud(upstream.base_url, LASTING, timeouts=PATIENT)], local_at(local_url))
    async with running_proxy(config) as (_, base_url), sdk(base_url) as client:
        seen = await ask_at_once(client, people)
    assert {(one.person.model, one.source) for one in seen} == {
        ("gpt-4o", Source.CLOUD),
        ("gpt-4o-mini", Source.LOCAL),
    }


async def test_nobody_but_the_prober_asks_a_cloud_that_was_given_up(upstream: FaultUpstream, local_url: str) -> None:
    upstream.behaviour = Behaviour.ERROR_503
    config = before([cloud(upstream.base_url, LASTING)], local_at(local_url))
    async with running_proxy(config) as (_, base_url), sdk(base_url) as client:
        for person in PEOPLE[:3]:
            await person.ask(client)
        given_up_after = len(upstream.requests)
        seen = await ask_at_once(client, PEOPLE)
    assert [one.source for one in seen] == [Source.LOCAL] * len(seen)
    assert [request for request in upstream.requests[given_up_after:] if request.method == "POST"] == []


@pytest.mark.parametrize("behaviour", CALLERS, ids=lambda behaviour: behaviour.name.lower())
async def test_callers_mistakes_are_told_and_never_held_against_the_cloud(
    behaviour: Behaviour, upstream: FaultUpstream, local_url: str
) -> None:
    upstream.behaviour = behaviour
    config = before([cloud(upstream.base_url, LASTING, timeouts=PATIENT)], local_at(local_url))
    async with running_proxy(config) as (_, base_url), sdk(base_url) as client:
        told = [one for _ in range(4) for one in await ask_at_once(client, PEOPLE)]
        upstream.behaviour = Behaviour.OK
        seen = await ask_at_once(client, PEOPLE)
    refusals = [one.error.response.content for one in told if isinstance(one.error, APIStatusError)]
    assert refusals == [upstream.sent[0].body] * len(told)
    assert [one.source for one in seen] == [Source.CLOUD] * len(PEOPLE)


async def test_all_clouds_fail_at_once_each_in_its_own_way(upstream: FaultUpstream, local_url: str) -> None:
    upstream.behaviour = Behaviour.HANG
    async with FaultUpstream(behaviour=Behaviour.ERROR_502_HTML) as second, doors.refused() as third_url:
        clouds = [
            cloud(base_url, LASTING, f"cloud{number}")
            for number, base_url in enumerate((upstream.base_url, second.base_url, third_url))
        ]
        async with running_proxy(before(clouds, local_at(local_url))) as (_, base_url), sdk(base_url) as client:
            seen = await ask_at_once(client, PEOPLE)
    assert errors(seen) == []
    assert {one.source for one in seen} == {Source.LOCAL}


async def test_second_cloud_stands_in_for_the_first(upstream: FaultUpstream, local_url: str) -> None:
    upstream.behaviour = Behaviour.ERROR_503
    async with FaultUpstream() as second:
        clouds = [cloud(upstream.base_url, LASTING, "first"), cloud(second.base_url, LASTING, "second", PATIENT)]
        async with running_proxy(before(clouds, local_at(local_url))) as (_, base_url), sdk(base_url) as client:
            seen = await ask_at_once(client, PEOPLE)
        assert len(second.requests) == len(PEOPLE)
    assert [one.source for one in seen] == [Source.CLOUD] * len(PEOPLE)
