"""One breaker for each (upstream, model), and a bound on how many."""

from collections import Counter

import pytest

from proxy.core.breaker import UNCOUNTED, BreakerSettings, Permit, Refusal, State, Transition
from proxy.core.health import MAX_MODELS, RED_SECONDS, Health, HealthPolicy, Key, Urgency
from proxy.core.outcome import Kind, Outcome

CHAT = "chat/completions"
NOW = 100.0


def health(*, is_probed: bool = True) -> Health:
    return Health({"cloud": HealthPolicy(BreakerSettings(), is_probed)})


def ask(of: Health, model: str, *, upstream: str = "cloud", endpoint: str = CHAT, now: float = NOW) -> Permit | Refusal:
    return of.acquire(Key(upstream, model), endpoint, now)[0]


def report(permit: Permit, kind: Kind = Kind.RESET) -> Transition | None:
    assert permit.breaker is not None
    return permit.breaker.report(permit, Outcome(kind), NOW)


def fail(of: Health, model: str, times: int) -> None:
    for _ in range(times):
        permit = ask(of, model)
        assert isinstance(permit, Permit)
        report(permit)


def test_one_model_trips_and_the_others_go_on() -> None:
    seen = health()
    fail(seen, "bad", 3)
    assert isinstance(ask(seen, "bad"), Refusal)
    assert isinstance(ask(seen, "good"), Permit)


def test_upstream_without_a_policy_is_always_permitted() -> None:
    seen = health()
    assert ask(seen, "smollm2", upstream="local") is UNCOUNTED
    assert UNCOUNTED.breaker is None  # so whatever comes back counts for nothing


def test_upstream_without_a_policy_has_no_states_and_no_probe() -> None:
    seen, key = health(), Key("local", "smollm2")
    assert seen.states("local") == Counter()
    assert isinstance(seen.acquire_probe(key, NOW)[0], Refusal)


def test_states_are_counted_for_each_upstream() -> None:
    seen = health()
    fail(seen, "bad", 3)
    ask(seen, "good")
    ask(seen, "better")
    assert seen.states("cloud") == Counter({State.CLOSED: 2, State.OPEN: 1})


def test_ill_models_are_named_with_the_endpoint_they_were_last_asked_on() -> None:
    seen = health()
    fail(seen, "bad", 3)
    ask(seen, "good")
    ask(seen, "bad", endpoint="completions")
    assert list(seen.ill()) == [(Key("cloud", "bad"), "completions")]


def test_half_open_models_are_still_ill() -> None:
    seen, key = health(), Key("cloud", "bad")
    fail(seen, "bad", 3)
    seen.acquire_probe(key, NOW + 10)
    assert [found for found, _ in seen.ill()] == [key]


def test_models_that_no_probe_can_reach_are_not_named() -> None:
    seen = health(is_probed=False)
    fail(seen, "bad", 3)
    assert list(seen.ill()) == []


def test_ramp_ends_by_time_also_where_no_probe_can_reach_the_model() -> None:
    seen, key = health(is_probed=False), Key("cloud", "rare")
    fail(seen, "rare", 3)
    for _ in range(2):
        permit = ask(seen, "rare", now=NOW + 10)
        assert isinstance(permit, Permit)
        report(permit, Kind.OK)
    assert list(seen.ill()) == [(key, CHAT)]
    assert isinstance(seen.acquire_probe(key, NOW + 59)[0], Refusal)
    assert seen.states("cloud") == Counter({State.RAMPING: 1})
    refusal, transition = seen.acquire_probe(key, NOW + 60)
    assert isinstance(refusal, Refusal), "it is not for the prober to send anything"
    assert transition == Transition(State.RAMPING, State.CLOSED, None)
    assert list(seen.ill()) == []


def test_ill_may_be_read_while_others_are_forgotten() -> None:
    seen = health()
    for number in range(MAX_MODELS):
        fail(seen, f"bad-{number}", 3)
    found = 0
    for number, _ in enumerate(seen.ill()):
        ask(seen, f"new-{number}")
        found += 1
    assert found == MAX_MODELS


def learns(*, is_limit_learnt: bool = True) -> Health:
    policy = HealthPolicy(BreakerSettings(), is_probed=True, is_limit_learnt=is_limit_learnt)
    return Health({"cloud": policy})


def test_limit_is_learnt_for_each_model() -> None:
    seen = learns()
    for model, seconds in [("quick", 0.2), ("slow", 5.0)]:
        ask(seen, model)
        for _ in range(20):
            seen.learn(Key("cloud", model), seconds, NOW, is_long=False)
    limits = [seen.limit_seconds(Key("cloud", model), NOW, is_long=False) for model in ("quick", "slow", "unheard-of")]
    assert limits == [5, pytest.approx(20, rel=0.1), 10]


def test_what_very_long_prompts_take_teaches_nothing() -> None:
    seen, key = learns(), Key("cloud", "gpt-4o")
    ask(seen, "gpt-4o")
    for _ in range(20):
        seen.learn(key, 9.0, NOW, is_long=True)
    assert seen.limit_seconds(key, NOW, is_long=False) == 10


def test_model_that_thinks_is_given_time_before_it_was_ever_asked() -> None:
    assert learns().limit_seconds(Key("cloud", "gpt-5"), NOW, is_long=False) == 30


def test_limit_that_is_fixed_is_not_learnt() -> None:
    seen, key = learns(is_limit_learnt=False), Key("cloud", "gpt-4o")
    ask(seen, "gpt-4o")
    for _ in range(20):
        seen.learn(key, 2.0, NOW, is_long=False)
    assert seen.limit_seconds(key, NOW, is_long=False) is None


def test_time_of_whole_answers_is_learnt_for_each_model() -> None:
    seen, key = learns(is_limit_learnt=False), Key("cloud", "gpt-4o")
    for model in ("gpt-4o", "gpt-4o-mini"):
        ask(seen, model)
    for _ in range(20):
        seen.learn_answer(key, 8.0, None, NOW)
    assert seen.usual_answer_seconds(key, None, NOW) == pytest.approx(8.0, rel=0.1)
    assert seen.usual_answer_seconds(Key("cloud", "gpt-4o-mini"), None, NOW) is None


def test_local_model_has_no_limit_to_learn() -> None:
    assert learns().limit_seconds(Key("local", "smollm2"), NOW, is_long=False) is None


def test_failure_makes_its_model_suspect_and_no_other() -> None:
    seen = health()
    fail(seen, "shaky", 1)
    ask(seen, "good")
    assert seen.is_suspect(Key("cloud", "shaky"), NOW)
    assert not seen.is_suspect(Key("cloud", "good"), NOW)


def test_unknown_model_and_upstream_without_a_policy_are_not_suspect() -> None:
    seen = health()
    assert not seen.is_suspect(Key("cloud", "unheard-of"), NOW)
    assert not seen.is_suspect(Key("local", "smollm2"), NOW)


def test_red_check_makes_all_models_suspect_for_a_while_and_trips_nothing() -> None:
    seen = health()
    assert seen.checked("cloud", NOW, is_red=True)
    assert not seen.checked("cloud", NOW + 10, is_red=True)
    assert seen.is_suspect(Key("cloud", "unheard-of"), NOW + 10)
    assert isinstance(ask(seen, "good", now=NOW + 10), Permit)
    assert not seen.is_suspect(Key("cloud", "good"), NOW + 10 + RED_SECONDS)


def test_green_check_ends_no_other_suspicion_and_closes_no_breaker() -> None:
    seen = health()
    fail(seen, "shaky", 1)
    fail(seen, "bad", 3)
    assert not seen.checked("cloud", NOW, is_red=False)
    assert seen.is_suspect(Key("cloud", "shaky"), NOW)
    assert isinstance(ask(seen, "bad"), Refusal)


def test_check_is_wanted_while_idle_or_suspect() -> None:
    seen = health()
    assert seen.wants_check("cloud", NOW) is Urgency.IDLE
    permit = ask(seen, "good")
    assert isinstance(permit, Permit)
    report(permit, Kind.OK)
    assert seen.wants_check("cloud", NOW) is Urgency.NONE
    assert seen.wants_check("cloud", NOW + 30) is Urgency.IDLE
    fail(seen, "shaky", 1)
    assert seen.wants_check("cloud", NOW) is Urgency.SUSPECT


def test_number_of_models_is_bounded() -> None:
    seen = health()
    for number in range(MAX_MODELS * 2):
        ask(seen, f"invented-{number}")
    assert seen.states("cloud").total() == MAX_MODELS


def test_invented_models_do_not_push_out_an_ill_one() -> None:
    seen = health()
    fail(seen, "bad", 3)
    for number in range(MAX_MODELS * 2):
        ask(seen, f"invented-{number}")
    assert isinstance(ask(seen, "bad"), Refusal)


def test_model_with_a_streak_is_kept_before_a_pristine_one() -> None:
    seen = health()
    fail(seen, "shaky", 2)
    for number in range(MAX_MODELS * 2):
        ask(seen, f"invented-{number}")
    fail(seen, "shaky", 1)
    assert isinstance(ask(seen, "shaky"), Refusal)


def test_least_recently_used_is_forgotten_first() -> None:
    seen = health()
    permits = [(model, ask(seen, model)) for model in ("old", "used") for _ in range(3)]
    for number in range(MAX_MODELS - 2):
        ask(seen, f"m{number}")
    ask(seen, "used")
    ask(seen, "one-too-many")
    for _, permit in permits:
        assert isinstance(permit, Permit)
        report(permit)
    assert [key.model for key, _ in seen.ill()] == ["used"]


def test_one_ill_model_is_forgotten_when_all_are_ill() -> None:
    seen = health()
    for number in range(MAX_MODELS):
        fail(seen, f"bad-{number}", 3)
    assert isinstance(ask(seen, "new"), Permit)
    assert seen.states("cloud") == Counter({State.OPEN: MAX_MODELS - 1, State.CLOSED: 1})
    assert "bad-0" not in {key.model for key, _ in seen.ill()}


def test_report_on_a_forgotten_model_is_dropped() -> None:
    seen = health()
    permit = ask(seen, "forgotten")
    for number in range(MAX_MODELS):
        ask(seen, f"m{number}")
    assert isinstance(permit, Permit)
    assert report(permit) is None
    assert seen.states("cloud").total() == MAX_MODELS
