"""Leave to send, reports on what came of it, and one event for each change of a breaker."""

from collections import Counter

from proxy.core.breaker import UNCOUNTED, BreakerSettings, Permit, Refusal, State
from proxy.core.health import Health, HealthPolicy, Key
from proxy.core.outcome import Kind, Outcome
from proxy.telemetry.events import BreakerChanged, Event
from proxy.upstreams.pool import Pool
from proxy.upstreams.upstream import Identity
from tests.unit.stand_ins import FakeClock, FakeUpstream

KEY = Key("acme", "gpt-5")


class Watch:
    """A pool of one cloud and the local model, its clock, and what it told."""

    def __init__(self, *, is_probed: bool = True) -> None:
        self.events: list[Event] = []
        self.clock = FakeClock()
        health = Health({"acme": HealthPolicy(BreakerSettings(), is_probed)})
        upstreams = {name: FakeUpstream(Identity(name, "https://a.test")) for name in ("acme", "local")}
        self.pool = Pool(upstreams, health, self.clock, self.events.append)

    def fails(self, times: int = 3) -> None:
        for _ in range(times):
            permit = self.pool.acquire(KEY, "completions")
            assert isinstance(permit, Permit)
            self.pool.report(KEY, permit, Outcome(Kind.RESET))

    def probes(self, kind: Kind) -> None:
        permit = self.pool.acquire_probe(KEY)
        assert isinstance(permit, Permit)
        self.pool.report(KEY, permit, Outcome(kind))


def test_refused_start_is_let_through_when_it_is_forced() -> None:
    watch = Watch()
    watch.fails()
    assert isinstance(watch.pool.acquire(KEY, "completions"), Refusal)
    assert watch.pool.acquire(KEY, "completions", is_forced=True) is UNCOUNTED


def test_way_down_and_up_is_told_once_for_each_step() -> None:
    watch = Watch()
    watch.fails()
    watch.clock.now += 10
    watch.probes(Kind.OK)
    watch.probes(Kind.OK)
    assert watch.events == [
        BreakerChanged("acme", "gpt-5", State.CLOSED, State.OPEN, Kind.RESET, 10.0),
        BreakerChanged("acme", "gpt-5", State.OPEN, State.HALF_OPEN, None),
        BreakerChanged("acme", "gpt-5", State.HALF_OPEN, State.CLOSED, Kind.OK),
    ]


def test_what_is_ill_is_named_for_the_prober() -> None:
    watch = Watch()
    assert watch.pool.ill() == []
    watch.fails()
    assert watch.pool.ill() == [(KEY, "completions")]


def test_states_name_every_upstream() -> None:
    watch = Watch()
    watch.fails()
    assert watch.pool.states() == {"acme": Counter({State.OPEN: 1}), "local": Counter()}


def test_content_lets_the_next_one_try() -> None:
    watch = Watch(is_probed=False)
    watch.fails()
    watch.clock.now += 10
    permit = watch.pool.acquire(KEY, "completions")
    assert isinstance(permit, Permit)
    assert isinstance(watch.pool.acquire(KEY, "completions"), Refusal)
    watch.pool.first_content(permit)
    assert isinstance(watch.pool.acquire(KEY, "completions"), Permit)


def test_upstreams_are_found_by_name_and_in_order() -> None:
    pool = Watch().pool
    assert [upstream.name for upstream in pool] == ["acme", "local"]
    assert pool["local"].name == "local"
