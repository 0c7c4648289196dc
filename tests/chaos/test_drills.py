"""In every shape of a drill every one of sixteen clients gets a complete and legal answer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from proxy.core.drill_report import Shape
from tests.chaos.person import Person, Source, ask_at_once, errors, sdk
from tests.chaos.settings import BLIND, FIRM_IN_THE_MIDDLE, LASTING, PATIENT, TIMEOUTS, before, cloud, local_at
from tests.fakes.behaviour import Behaviour
from tests.fakes.upstream import FaultUpstream
from tests.running import running_proxy

pytestmark = [pytest.mark.model, pytest.mark.slow]

PEOPLE = [Person(number) for number in range(16)]
CLOUD, LOCAL, BOTH = Source.CLOUD, Source.LOCAL, Source.BOTH
IN_THE_MIDDLE = frozenset(
    {Shape.CUT, Shape.CUT_BY_RESET, Shape.CUT_IN_EVENT, Shape.CUT_IN_CHARACTER, Shape.STALL, Shape.ERROR_EVENT}
    | {Shape.MALFORMED, Shape.NO_FINISH}
)
UNNOTICED = frozenset({Shape.NO_DONE})
FOR_SOME = frozenset({Shape.STATUS_500_ONCE, Shape.STATUS_429_ONCE, Shape.DECAY, Shape.FLAPPING})
"""The others are answered by the cloud."""


class Drill:
    """An operator's."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session = session
        self._page = f"{base_url.removesuffix('/v1')}/drills"

    async def begin(self, shape: Shape, **order: Any) -> int:
        """Its status."""
        async with self._session.post(self._page, json={"shape": shape, "seconds": 600, **order}) as answer:
            return answer.status

    async def end(self) -> dict[str, Any]:
        """Its report."""
        async with self._session.delete(self._page) as answer:
            return dict((await answer.json())["reports"][-1])

    async def report_when(self, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Its report, once that is so."""
        while True:
            async with self._session.get(self._page) as answer:
                report = dict((await answer.json())["reports"][-1])
            if is_so(report):
                return report
            await asyncio.sleep(0.02)


def posts(upstream: FaultUpstream) -> int:
    """What it was asked, but for checks."""
    return sum(request.method == "POST" for request in upstream.requests)


@asynccontextmanager
async def drilled(config: str) -> AsyncIterator[tuple[Drill, str]]:
    """A proxy that allows drills."""
    async with running_proxy(f"drills: {{allow: true}}\n{config}") as (_, base_url), aiohttp.ClientSession() as session:
        yield Drill(session, base_url), base_url


def sources(shape: Shape, person: Person) -> set[Source]:
    """Whose answers this one may read."""
    if shape in UNNOTICED:
        return {CLOUD}
    if shape in FOR_SOME:
        return {CLOUD, LOCAL}
    if shape in IN_THE_MIDDLE and person.is_streaming:
        return {BOTH}
    return {CLOUD} if shape is Shape.SLOW_TOKENS and person.is_streaming else {LOCAL}


def timeouts(shape: Shape) -> str:
    """Short only where they are what ends the wait: else a busy machine would run into them."""
    if shape in UNNOTICED | FOR_SOME:
        return PATIENT
    return FIRM_IN_THE_MIDDLE if shape in IN_THE_MIDDLE | {Shape.SLOW_TOKENS} else TIMEOUTS


@pytest.mark.parametrize("shape", Shape)
async def test_everybody_is_answered(shape: Shape, upstream: FaultUpstream, local_url: str) -> None:
    config = before([cloud(upstream.base_url, BLIND, timeouts=timeouts(shape))], local_at(local_url))
    async with drilled(config) as (drill, base_url), sdk(base_url) as client:
        assert await drill.begin(shape) == 201
        seen = await ask_at_once(client, PEOPLE)
        report = await drill.end()
    assert errors(seen) == []
    assert [one for one in seen if one.source not in sources(shape, one.person)] == []
    assert (report["failed"], report["end"]) == (0, "asked")


async def test_decay_reaches_the_clients_in_time(upstream: FaultUpstream, local_url: str) -> None:
    config = before([cloud(upstream.base_url, BLIND, timeouts=PATIENT)], local_at(local_url))
    async with drilled(config) as (drill, base_url), sdk(base_url) as client:
        await drill.begin(Shape.DECAY, seconds=60)
        seen = []
        while not (seen and any(one.source is LOCAL for one in seen)):
            seen += await ask_at_once(client, PEOPLE[:4])
        report = await drill.report_when(lambda report: report["rescued"] > 0)
    assert errors(seen) == []
    assert report["failed"] == 0


@pytest.mark.parametrize("shape", [Shape.STATUS_500_ONCE, Shape.STATUS_429_ONCE])
async def test_what_happens_once_is_met_by_one(shape: Shape, upstream: FaultUpstream, local_url: str) -> None:
    config = before([cloud(upstream.base_url, BLIND, timeouts=PATIENT)], local_at(local_url))
    async with drilled(config) as (drill, base_url), sdk(base_url) as client:
        await drill.begin(shape)
        seen = await ask_at_once(client, PEOPLE)
        report = await drill.report_when(lambda report: report["affected"] > 0)
    assert errors(seen) == []
    assert report["attempts_broken"] == 1
    assert report["affected"] == report["rescued"]
    if shape is not Shape.STATUS_429_ONCE:  # that one also keeps away who comes in the second that it asks for
        assert report["affected"] == 1


async def test_all_clouds_look_dead_at_once(upstream: FaultUpstream, local_url: str) -> None:
    async with FaultUpstream() as second:
        clouds = [cloud(upstream.base_url, LASTING, "first"), cloud(second.base_url, LASTING, "second")]
        async with drilled(before(clouds, local_at(local_url))) as (drill, base_url), sdk(base_url) as client:
            await drill.begin(Shape.STATUS_503, upstream="all")
            seen = await ask_at_once(client, PEOPLE)
            report = await drill.end()
    assert errors(seen) == []
    assert {one.source for one in seen} == {LOCAL}
    assert (report["upstreams"], report["failed"]) == (["first", "second"], 0)
    assert posts(upstream) == posts(second) == 0


async def test_local_model_looks_dead_at_the_same_time(upstream: FaultUpstream, local_url: str) -> None:
    async with FaultUpstream() as second:
        clouds = [cloud(upstream.base_url, LASTING, "first"), cloud(second.base_url, LASTING, "second", PATIENT)]
        async with drilled(before(clouds, local_at(local_url))) as (drill, base_url), sdk(base_url) as client:
            assert await drill.begin(Shape.STATUS_503, upstream=["first", "local"]) == 201
            seen = await ask_at_once(client, PEOPLE)
            report = await drill.end()
    assert errors(seen) == []
    assert {one.source for one in seen} == {CLOUD}
    assert (report["failed"], posts(upstream), posts(second)) == (0, 0, len(PEOPLE))


@pytest.mark.parametrize("upstreams", [["all", "local"], ["first", "second", "local"]])
async def test_no_drill_in_which_nobody_is_left(upstreams: list[str], upstream: FaultUpstream, local_url: str) -> None:
    async with FaultUpstream() as second:
        clouds = [cloud(upstream.base_url, BLIND, "first"), cloud(second.base_url, BLIND, "second")]
        async with drilled(before(clouds, local_at(local_url))) as (drill, _):
            assert await drill.begin(Shape.STATUS_503, upstream=upstreams) == 409


async def test_drill_with_the_local_model_ends_when_the_last_cloud_fails(
    upstream: FaultUpstream, local_url: str
) -> None:
    async with FaultUpstream(behaviour=Behaviour.ERROR_503) as second:
        clouds = [cloud(upstream.base_url, BLIND, "first"), cloud(second.base_url, BLIND, "second")]
        async with drilled(before(clouds, local_at(local_url))) as (drill, base_url), sdk(base_url) as client:
            await drill.begin(Shape.STATUS_503, upstream=["first", "local"])
            told = await Person(0).ask(client)
            report = await drill.report_when(lambda report: report["end"] is not None)
            seen = await Person(0).ask(client)
    assert (told.error is not None, report["end"], report["failed"]) == (True, "failure", 1)
    assert seen.source is CLOUD


async def test_one_model_alone_looks_dead(upstream: FaultUpstream, local_url: str) -> None:
    people = [Person(number, "gpt-4o-mini" if number % 4 < 2 else "gpt-4o") for number in range(16)]
    config = before([cloud(upstream.base_url, LASTING, timeouts=PATIENT)], local_at(local_url))
    async with drilled(config) as (drill, base_url), sdk(base_url) as client:
        await drill.begin(Shape.STATUS_503, model="gpt-4o-mini")
        seen = await ask_at_once(client, people)
        report = await drill.report_when(lambda report: report["affected"] >= 8)
    assert {(one.person.model, one.source) for one in seen} == {("gpt-4o", CLOUD), ("gpt-4o-mini", LOCAL)}
    assert (report["model"], report["affected"], report["rescued"]) == ("gpt-4o-mini", 8, 8)


async def test_model_is_called_what_its_upstream_calls_it(upstream: FaultUpstream, local_url: str) -> None:
    renamed = cloud(upstream.base_url, LASTING, timeouts=f"{PATIENT}, models: {{gpt-4o: deployment-7}}")
    async with drilled(before([renamed], local_at(local_url))) as (drill, base_url), sdk(base_url) as client:
        await drill.begin(Shape.STATUS_503, model="deployment-7")
        seen = await ask_at_once(client, PEOPLE[:2])
        report = await drill.report_when(lambda report: report["affected"] >= 2)
    assert [one.source for one in seen] == [LOCAL, LOCAL]
    assert report["affected"] == 2
