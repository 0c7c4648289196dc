"""What other workers saw, in one breaker: it acts on it, keeps its own record, and lets late results change nothing."""

from proxy.core.breaker import PRECEDENCE_SECONDS, Breaker, BreakerSettings, Permit, Refusal, State
from proxy.core.outcome import Kind, Outcome

NOW = 1000.0
FAILURE = Outcome(Kind.RESET)


def closed() -> Breaker:
    return Breaker(BreakerSettings(), is_probed=False, now=NOW)


def opened(seconds: float = 20.0) -> Breaker:
    breaker = closed()
    breaker.adopt_opened(seconds, NOW)
    return breaker


def permit_of(breaker: Breaker, now: float = NOW) -> Permit:
    answer, _ = breaker.acquire(now)
    assert isinstance(answer, Permit)
    return answer


def test_opened_elsewhere_is_open_here_and_a_little_longer() -> None:
    breaker = opened(20.0)
    assert breaker.acquire(NOW) == (Refusal(NOW + 20.0 + PRECEDENCE_SECONDS), None)


def test_opening_elsewhere_never_shortens_the_time_in_open() -> None:
    breaker = opened(20.0)
    breaker.adopt_opened(5.0, NOW)
    assert breaker.open_seconds(NOW) == 20.0 + PRECEDENCE_SECONDS


def test_result_from_before_the_opening_elsewhere_changes_nothing() -> None:
    breaker = closed()
    before = permit_of(breaker)
    breaker.adopt_opened(20.0, NOW)
    assert breaker.report(before, Outcome(Kind.OK), NOW) is None
    assert breaker.state is State.OPEN


def test_recovery_elsewhere_begins_the_ramp_here() -> None:
    breaker = opened()
    breaker.adopt_recovery(NOW)
    assert breaker.state is State.RAMPING
    assert breaker.acquire(NOW, lambda: 0.04)[0] == permit_of(breaker)
    assert breaker.acquire(NOW, lambda: 0.06)[0] == Refusal(NOW + 20.0)


def test_ramp_is_not_begun_anew_by_another_worker() -> None:
    breaker = opened()
    breaker.adopt_recovery(NOW)
    breaker.adopt_recovery(NOW + 30.0)
    assert breaker.acquire(NOW + 60.0, lambda: 0.9)[0] == permit_of(breaker)


def test_probe_that_another_worker_was_faster_than_changes_nothing() -> None:
    breaker = opened(20.0)
    probe = permit_of(breaker, NOW + 30.0)
    breaker.adopt_recovery(NOW + 30.0)
    assert breaker.report(probe, FAILURE, NOW + 31.0) is None
    assert breaker.state is State.RAMPING


def test_failure_elsewhere_during_recovery_opens_again() -> None:
    breaker = opened(20.0)
    permit_of(breaker, NOW + 30.0)
    assert breaker.state is State.HALF_OPEN
    breaker.adopt_opened(40.0, NOW + 30.0)
    assert breaker.open_seconds(NOW + 30.0) == 40.0 + PRECEDENCE_SECONDS


def test_two_failures_elsewhere_and_one_here_trip() -> None:
    breaker = closed()
    breaker.adopt_failure(NOW)
    breaker.adopt_failure(NOW)
    assert breaker.state is State.CLOSED
    transition = breaker.report(permit_of(breaker), FAILURE, NOW)
    assert transition
    assert transition.after is State.OPEN


def test_failure_elsewhere_makes_suspect_here_and_is_not_told_again() -> None:
    breaker = closed()
    breaker.adopt_failure(NOW)
    assert breaker.is_suspect(NOW)
    assert breaker.take_doubt() is None


def test_success_elsewhere_ends_the_streak() -> None:
    breaker = closed()
    breaker.adopt_failure(NOW)
    breaker.adopt_failure(NOW)
    breaker.adopt_success()
    assert breaker.is_pristine


def test_own_cooldown_continues_the_record_of_what_was_adopted() -> None:
    breaker = opened(20.0)
    probe = permit_of(breaker, NOW + 30.0)
    breaker.report(probe, FAILURE, NOW + 30.0)
    assert breaker.open_seconds(NOW + 30.0) == 2 * BreakerSettings().cooldown_seconds


def test_healthy_breaker_stays_as_it_is_when_another_recovers() -> None:
    breaker = closed()
    permit = permit_of(breaker)
    breaker.adopt_recovery(NOW)
    breaker.report(permit, FAILURE, NOW)
    assert not breaker.is_pristine
