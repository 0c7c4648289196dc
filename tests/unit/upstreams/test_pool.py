"""Leave to send, reports on what came of it, and one event for each change of a breaker."""

from collections import Counter

import pytest

from proxy.core.answer_time import LESSON_SECONDS
from proxy.core.breaker import UNCOUNTED, BreakerSettings, Permit, Refusal, State
from proxy.core.health import Health, HealthPolicy, Key
from proxy.core.outcome import Kind, Outcome
from proxy.core.suspicion import Doubt
from proxy.telemetry.events import BreakerChanged, Event, UpstreamSuspected
from proxy.upstreams.pool import Pool
from proxy.upstreams.upstream import Identity
from tests.unit.stand_ins import FakeClock, FakeUpstream

KEY = Key("acme", "gpt-5")


class Watch:
    """A pool of one cloud and the local model, its clock, and what it told."""

    def __init__(self, *, is_probed: bool = True) -> None:
        self.events: list[Event] = []
        self.clock = FakeClock()
        health = Health({"acme": HealthPolicy(BreakerSettings(), is_probed, is_limit_learnt=True)})
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
    assert isinstance(watch.pool.acquire(KEY, "completions", is_forced=True), Permit)


def test_conversation_waits_for_its_share_to_come_back() -> None:
    watch = Watch()
    watch.fails()
    watch.clock.now += 10
    watch.probes(Kind.OK)
    watch.probes(Kind.OK)
    assert watch.pool.acquire(KEY, "completions", lambda: 0.1) == Refusal(watch.clock.now + 20)
    assert isinstance(watch.pool.acquire(KEY, "completions"), Permit)
    assert watch.pool.acquire(KEY, "completions", lambda: 0.1, is_forced=True) is not UNCOUNTED


def test_way_down_and_up_is_told_once_for_each_step() -> None:
    watch = Watch()
    watch.fails()
    watch.clock.now += 10
    watch.probes(Kind.OK)
    watch.probes(Kind.OK)
    watch.clock.now += 60
    watch.pool.acquire_probe(KEY)
    assert watch.events == [
        UpstreamSuspected("acme", "gpt-5", Doubt.FAILURE),
        BreakerChanged("acme", "gpt-5", State.CLOSED, State.OPEN, Kind.RESET, 10.0),
        BreakerChanged("acme", "gpt-5", State.OPEN, State.HALF_OPEN, None),
        BreakerChanged("acme", "gpt-5", State.HALF_OPEN, State.RAMPING, Kind.OK),
        BreakerChanged("acme", "gpt-5", State.RAMPING, State.CLOSED, None),
    ]


def test_first_failure_makes_suspect_and_is_told_once() -> None:
    watch = Watch()
    watch.fails(2)
    assert watch.pool.is_suspect(KEY)
    assert watch.events == [UpstreamSuspected("acme", "gpt-5", Doubt.FAILURE)]


def test_clients_that_give_up_waiting_make_suspect() -> None:
    watch = Watch()
    for _ in range(5):
        permit = watch.pool.acquire(KEY, "completions")
        assert isinstance(permit, Permit)
        watch.pool.report(KEY, permit, Outcome(Kind.CLIENT_GONE), has_waited=True)
    assert watch.events == [UpstreamSuspected("acme", "gpt-5", Doubt.IMPATIENCE)]


def test_whole_answers_are_learnt_from_one_at_a_time() -> None:
    watch = Watch()
    watch.pool.acquire(KEY, "chat/completions")
    assert watch.pool.lesson_at < watch.clock.now
    for _ in range(20):
        watch.pool.learn_answer(KEY, 4.0, b'{"max_tokens":40}')
    assert watch.pool.lesson_at == watch.clock.now + LESSON_SECONDS
    assert watch.pool.usual_answer_seconds(KEY, b'{"max_tokens":50}') == pytest.approx(12.0, rel=0.1), "it thinks"
    assert watch.pool.usual_answer_seconds(KEY, b"{}") is None


def test_answers_to_very_long_prompts_are_neither_learnt_from_nor_foretold() -> None:
    watch, long = Watch(), b'{"prompt":"%b"}' % (b"a" * 60_000)
    watch.pool.acquire(KEY, "chat/completions")
    for body in (b"{}", long):
        for _ in range(20):
            watch.pool.learn_answer(KEY, 4.0 if body is not long else 40.0, body)
    assert watch.pool.usual_answer_seconds(KEY, b"{}") == pytest.approx(12.0, rel=0.1)
    assert watch.pool.usual_answer_seconds(KEY, long) is None


def test_limit_is_learnt_from_streams_whose_prompts_are_not_very_long() -> None:
    watch = Watch()
    watch.pool.acquire(KEY, "chat/completions")
    for _ in range(20):
        watch.pool.learn(KEY, 2.0, 1_000)
        watch.pool.learn(KEY, 50.0, 1_000_000)
    limits = [watch.pool.limit_seconds(KEY, size) for size in (1_000, 1_000_000)]
    assert limits == [pytest.approx(24.0, rel=0.1), pytest.approx(24.0, rel=0.1)]
    assert watch.pool.limit_seconds(Key("local", "smollm2"), 1_000) is None


def test_red_check_makes_every_model_suspect_and_a_green_one_ends_that() -> None:
    watch = Watch()
    watch.pool.checked("acme", is_red=True)
    watch.pool.checked("acme", is_red=True)
    assert watch.pool.is_suspect(KEY)
    watch.pool.checked("acme", is_red=False)
    assert not watch.pool.is_suspect(KEY)
    assert watch.events == [UpstreamSuspected("acme", "", Doubt.CHECK)]


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
