"""When the list of models is asked for, and what the answer leads to."""

import asyncio
import random

import pytest

from proxy.core.breaker import BreakerSettings, Permit, Refusal
from proxy.core.health import Health, HealthPolicy, Key
from proxy.core.outcome import OK, Kind, Outcome
from proxy.core.suspicion import Doubt
from proxy.telemetry.events import Event, UpstreamSuspected
from proxy.upstreams.checker import Checker
from proxy.upstreams.pool import Pool
from proxy.upstreams.transport import AttemptFailed
from proxy.upstreams.upstream import Identity
from tests.unit.stand_ins import FakeClock, FakeExchange, FakeUpstream

KEY = Key("acme", "gpt-5")
LIST = b'{"object":"list","data":[]}'


class Watch:
    """One upstream that answers in one way, and its checker."""

    def __init__(self, answer: FakeExchange | AttemptFailed, *, api_key: str = "k") -> None:
        self.events: list[Event] = []
        self.clock = FakeClock()
        self.upstream = FakeUpstream(Identity("acme", "https://acme.test/v1", api_key=api_key), answer)
        health = Health({"acme": HealthPolicy(BreakerSettings(), is_probed=True)})
        self.pool = Pool({"acme": self.upstream}, health, self.clock, self.events.append)
        self.checker = Checker(self.pool, ["acme"], self.clock, random.Random(1), self.events.append)

    async def after(self, seconds: float) -> int:
        """How many requests have gone out when that much time has passed."""
        self.clock.now += seconds
        await asyncio.gather(*self.checker.start_due())
        return len(self.upstream.transport.sent)

    def ends(self, outcome: Outcome) -> None:
        permit = self.pool.acquire(KEY, "chat/completions")
        assert isinstance(permit, Permit)
        self.pool.report(KEY, permit, outcome)

    @property
    def is_suspect(self) -> bool:
        return self.pool.is_suspect(KEY)


async def test_idle_upstream_is_asked_for_its_models_once_a_minute() -> None:
    watch = Watch(FakeExchange([LIST]))
    assert [await watch.after(seconds) for seconds in (59, 1, 47, 25)] == [0, 1, 1, 2]
    (outgoing, _) = watch.upstream.transport.sent
    assert (outgoing.method, outgoing.target, outgoing.body) == ("GET", "/models", None)


async def test_upstream_in_use_is_left_alone() -> None:
    watch = Watch(FakeExchange([LIST]))
    for _ in range(10):
        watch.ends(OK)
        assert await watch.after(20) == 0


async def test_suspect_upstream_is_asked_every_ten_seconds() -> None:
    watch = Watch(FakeExchange([LIST]))
    watch.ends(Outcome(Kind.RESET))
    assert [await watch.after(seconds) for seconds in (9, 1, 7, 5)] == [0, 1, 1, 2]


async def test_checks_of_many_do_not_keep_in_step() -> None:
    watches = [Watch(FakeExchange([LIST])) for _ in range(20)]
    for number, watch in enumerate(watches):
        watch.checker._rng.seed(number)
        await watch.after(60)
    counts = [await watch.after(60) for watch in watches]
    assert set(counts) == {1, 2}


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(AttemptFailed(Outcome(Kind.DNS)), id="no name"),
        pytest.param(AttemptFailed(Outcome(Kind.RESET)), id="hangs up"),
        pytest.param(FakeExchange([b"{}"], status=503), id="server error"),
        pytest.param(FakeExchange([b"{}"], status=401), id="our key refused"),
        pytest.param(FakeExchange([AttemptFailed(Outcome(Kind.CUT))]), id="half a list"),
    ],
)
async def test_red_makes_suspect_and_trips_nothing(answer: FakeExchange | AttemptFailed) -> None:
    watch = Watch(answer)
    for _ in range(20):
        await watch.after(12)
    assert watch.is_suspect
    assert isinstance(watch.pool.acquire(KEY, "chat/completions"), Permit)
    assert watch.events == [UpstreamSuspected("acme", "", Doubt.CHECK)]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(FakeExchange([LIST]), id="a list"),
        pytest.param(FakeExchange([b"{}"], status=404), id="no such page"),
        pytest.param(FakeExchange([b"{}"], status=429), id="rate limited"),
        pytest.param(AttemptFailed(Outcome(Kind.UNAVAILABLE)), id="our own limit of connections"),
    ],
)
async def test_everything_else_leads_to_nothing(answer: FakeExchange | AttemptFailed) -> None:
    watch = Watch(answer)
    await watch.after(60)
    assert not watch.is_suspect


async def test_refusal_without_a_key_is_nobodys_fault() -> None:
    watch = Watch(FakeExchange([b"{}"], status=401), api_key="")
    await watch.after(60)
    assert not watch.is_suspect


async def test_green_closes_no_breaker() -> None:
    watch = Watch(FakeExchange([LIST]))
    for _ in range(3):
        watch.ends(Outcome(Kind.RESET))
    await watch.after(60)
    assert isinstance(watch.pool.acquire(KEY, "chat/completions"), Refusal)


async def test_green_after_red_ends_the_suspicion() -> None:
    watch = Watch(FakeExchange([b"{}"], status=503))
    await watch.after(60)
    assert watch.is_suspect
    watch.upstream.transport.answer = FakeExchange([LIST])
    await watch.after(12)
    assert not watch.is_suspect


async def test_reset_of_an_idle_connection_is_asked_about_once_more() -> None:
    watch = Watch(AttemptFailed(Outcome(Kind.RESET)))
    assert await watch.after(60) == 2
