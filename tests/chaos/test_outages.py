"""Real outages in fast motion: no client sees an error or a hang, and afterwards all traffic goes back by itself."""

import asyncio

import pytest

from tests.chaos.crowd import crowd
from tests.chaos.outages import OUTAGES
from tests.chaos.person import CHAT_MODEL, TEXT_MODEL, Person, Source, errors, sdk
from tests.chaos.settings import QUICK, before, cloud, local_at
from tests.chaos.timeline import Act, Timeline
from tests.fakes.behaviour import Behaviour
from tests.fakes.upstream import FaultUpstream
from tests.running import running_proxy

pytestmark = [pytest.mark.model, pytest.mark.slow]

SECONDS = 3.0
LEAST_SECONDS = 0.5
"""Long enough for everybody to ask."""

PEOPLE = [Person(number, TEXT_MODEL if number % 4 == 0 else CHAT_MODEL) for number in range(16)]


async def play(timeline: Timeline, upstream: FaultUpstream) -> None:
    """The whole outage; at its end all is well."""
    upstream.check_behaviour = Behaviour.OK if timeline.is_check_green else None
    for act in timeline.acts:
        await stage(act, upstream)
        await asyncio.sleep(act.length)
    await stage(Act(0, (Behaviour.OK,)), upstream)


async def stage(act: Act, upstream: FaultUpstream) -> None:
    """From now on the cloud is as this act has it."""
    if not act.answers:
        await upstream.stop()
        return
    upstream.rotation, upstream.behaviour = act.answers, act.answers[0]
    upstream.by_model = dict(act.by_model)
    upstream.delay_seconds = act.delay_seconds
    if not upstream.is_listening:
        await upstream.start()


@pytest.mark.parametrize("name", OUTAGES)
async def test_nobody_notices_but_by_the_words(name: str, upstream: FaultUpstream, local_url: str) -> None:
    config = before([cloud(upstream.base_url, QUICK)], local_at(local_url))
    async with (
        running_proxy(config) as (_, base_url),
        sdk(base_url) as client,
        crowd(client, PEOPLE) as people,
    ):
        await people.until_all_see(Source.CLOUD)
        await play(OUTAGES[name].compressed(SECONDS, least_seconds=LEAST_SECONDS), upstream)
        await people.until_all_see(Source.CLOUD)
    assert errors(people.seen) == []
    assert {one.source for one in people.seen} > {Source.CLOUD}
