"""The gate before the local upstream, as the child's messages open and shut it. No process is started."""

import asyncio
import random
from dataclasses import replace
from typing import Any

import pytest

from proxy.core.standby import REST_SECONDS, Standby
from proxy.telemetry.events import Event, ModelServerChanged, Phase
from proxy.upstreams.local import ModelServer, ModelServerSettings
from tests.unit.stand_ins import FakeClock, turn

SETTINGS = ModelServerSettings(("--model", "smollm2"), "/run/model.sock", heartbeat_seconds=5, hang_seconds=30)
READY = {"event": "ready", "model": "smollm2", "context": 8192}
BEAT = {"event": "beat", "step_age_seconds": 0.1}


class Child:
    """What a child says, and what the supervisor makes of it."""

    def __init__(self, *messages: dict[str, Any], standby: Standby = "hot") -> None:
        self.events: list[Event] = []
        self.clock = FakeClock()
        self.is_ill = False
        settings = replace(SETTINGS, standby=standby)
        emit, rng = self.events.append, random.Random(0)
        self.server = ModelServer(settings, self.clock, rng, emit, is_ill=lambda: self.is_ill)
        self.say(*messages)

    def say(self, *messages: dict[str, Any]) -> None:
        for message in messages:
            self.server._hear(message)

    async def is_open(self) -> bool:
        return await self.server.wait(0.0)


def phase(word: str) -> dict[str, Any]:
    return {"event": "phase", "phase": word}


async def test_gate_is_shut_until_a_token_was_produced() -> None:
    child = Child(phase("loading"), phase("warming"))
    assert not await child.is_open()
    child.say(READY)
    assert await child.is_open()


async def test_beat_of_a_child_that_is_not_ready_opens_nothing() -> None:
    assert not await Child(phase("loading"), BEAT).is_open()


async def test_doubt_shuts_the_gate_until_the_next_sign_of_life() -> None:
    child = Child(READY)
    child.server.doubt()
    assert not await child.is_open()
    child.say(BEAT)
    assert await child.is_open()


@pytest.mark.parametrize("message", [phase("fetching"), {"event": "failed", "message": "no such model"}])
async def test_nobody_waits_for_what_takes_too_long_to_come(message: dict[str, Any]) -> None:
    assert not await Child(message).server.wait(3600.0)


async def test_nobody_waits_for_a_child_that_ends_again_and_again_before_it_is_ready() -> None:
    child = Child(phase("loading"))
    for _ in range(2):
        child.server._judge_exit(-9)
    assert not child.server.is_hopeless, "it may have met a moment without memory"
    child.server._judge_exit(-9)
    assert not await child.server.wait(3600.0)
    child.say(READY)
    assert await child.is_open()


def test_child_that_ends_after_it_was_ready_is_worth_waiting_for() -> None:
    child = Child(READY)
    for _ in range(9):
        child.server._judge_exit(-9)
    assert not child.server.is_hopeless


async def test_facts_are_kept_as_the_child_told_them() -> None:
    child = Child(READY)
    assert child.server.facts == {"model": "smollm2", "context": 8192}
    assert child.events == [ModelServerChanged(Phase.READY, "model=smollm2, context=8192")]


def test_each_phase_is_told_once() -> None:
    child = Child(phase("loading"), phase("loading"), phase("warming"))
    assert child.events == [ModelServerChanged(Phase.LOADING), ModelServerChanged(Phase.WARMING)]


@pytest.mark.parametrize("message", [{}, {"event": "news"}, {"event": 5}, {"event": "phase"}, {"event": ["phase"]}])
async def test_message_that_is_not_understood_opens_nothing(message: dict[str, Any]) -> None:
    child = Child(message)
    assert not await child.is_open()


def test_failure_is_told_in_the_childs_words() -> None:
    server = Child().server
    assert server._hear({"event": "failed", "message": "not enough memory"}) == "not enough memory"


@pytest.mark.parametrize(
    ("age", "is_hung"), [(0.4, False), (30, False), (30.1, True), (None, False), ("90", False), (1e9, True)]
)
def test_step_that_takes_too_long_is_a_hang(age: object, is_hung: bool) -> None:
    assert Child().server._is_hung({"event": "beat", "step_age_seconds": age}) is is_hung


def test_command_starts_the_model_server_on_its_socket() -> None:
    assert SETTINGS.command[1:] == (
        "-P",
        "-m",
        "models",
        "serve",
        "--supervised",
        "--socket",
        "/run/model.sock",
        "--model",
        "smollm2",
    )


async def test_whoever_waits_is_told_as_soon_as_waiting_is_in_vain() -> None:
    child = Child()
    waiting = asyncio.create_task(child.server.wait(3600.0))
    await turn()
    child.say({"event": "failed", "message": "no such model"})
    assert await waiting is False


async def test_whoever_waits_is_let_in_when_it_is_ready() -> None:
    child = Child(phase("loading"))
    waiting = asyncio.create_task(child.server.wait(3600.0))
    await turn()
    child.say(phase("warming"))
    await turn()
    child.say(READY)
    assert await waiting is True


async def test_spare_that_nobody_needs_lets_nobody_in_before_it_rests() -> None:
    child = Child(standby="cold")
    child.server.want()
    child.say(READY)
    child.clock.now += REST_SECONDS
    child.say(BEAT)
    assert not child.server.is_open


async def test_request_at_the_gate_of_a_leaving_spare_is_let_in_at_the_next_beat() -> None:
    child = Child(standby="cold")
    child.server.want()
    child.say(READY)
    child.clock.now += REST_SECONDS
    child.say(BEAT)
    waiting = asyncio.create_task(child.server.wait(3600.0))
    await turn()
    child.say(BEAT)
    assert await waiting is True


async def test_spare_stays_while_an_upstream_is_ill() -> None:
    child = Child(standby="warm")
    child.server.want()
    child.say(READY)
    child.is_ill = True
    child.clock.now += REST_SECONDS
    child.say(BEAT, BEAT)
    assert child.server.is_open


@pytest.mark.parametrize(
    ("busy", "is_idle"),
    [({}, True), ({"running": 0, "queued": 0}, True), ({"running": 1}, False), ({"queued": 2}, False)],
)
def test_idle_is_a_ready_child_with_nothing_to_do(busy: dict[str, int], is_idle: bool) -> None:
    child = Child(BEAT | busy)
    assert not child.server.is_idle
    child.say(READY, BEAT | busy)
    assert child.server.is_idle is is_idle
