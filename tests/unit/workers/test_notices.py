"""What the fleet passes on, and what it tells a newcomer."""

from proxy.core.breaker import State
from proxy.core.outcome import Kind
from proxy.workers.messages import BreakerMoved, Failed, Recovered
from proxy.workers.notices import Notices

OPENED = BreakerMoved("acme", "gpt-5", "chat/completions", State.OPEN, 10.0)
WELL = BreakerMoved("acme", "gpt-5", "chat/completions", State.RAMPING)
FAILED = Failed("acme", "gpt-5", "chat/completions", Kind.RESET)
RECOVERED = Recovered("acme", "gpt-5")


def test_newcomer_hears_of_what_is_open_and_for_how_long_still() -> None:
    notices = Notices()
    notices.take(OPENED, now=100.0)
    assert list(notices.standing(now=104.0)) == [BreakerMoved("acme", "gpt-5", "chat/completions", State.OPEN, 6.0)]


def test_breaker_whose_cooldown_is_over_is_told_as_open_for_no_time() -> None:
    notices = Notices()
    notices.take(OPENED, now=100.0)
    assert [moved.open_seconds for moved in notices.standing(now=200.0)] == [0.0]


def test_newcomer_hears_nothing_of_what_has_recovered() -> None:
    notices = Notices()
    notices.take(OPENED, now=100.0)
    notices.take(WELL, now=101.0)
    assert list(notices.standing(now=101.0)) == []


def test_failures_and_changes_are_passed_on() -> None:
    notices = Notices()
    assert [notices.take(news, 0.0) for news in (FAILED, OPENED, WELL)] == [FAILED, OPENED, WELL]


def test_first_success_after_a_failure_is_passed_on_and_the_others_are_not() -> None:
    notices = Notices()
    notices.take(FAILED, 0.0)
    assert [notices.take(RECOVERED, 0.0) for _ in range(3)] == [RECOVERED, None, None]


def test_success_of_another_model_is_no_recovery() -> None:
    notices = Notices()
    notices.take(FAILED, 0.0)
    assert notices.take(Recovered("acme", "gpt-4"), 0.0) is None
