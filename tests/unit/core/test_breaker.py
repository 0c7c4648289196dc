"""The circuit breaker as scripts of facts. Time moves only where a script says so."""

import pytest

from proxy.core.breaker import UNCOUNTED, Breaker, BreakerSettings, Permit, Refusal, State, Transition
from proxy.core.outcome import WEIGHTS, Kind, Outcome, Weight
from proxy.core.suspicion import Doubt

USUAL = BreakerSettings()
NOT_BY_STREAK = BreakerSettings(consecutive=100)
SAYING_NOTHING = [kind for kind, weight in WEIGHTS.items() if weight is Weight.NOTHING]


class Script:
    """One breaker and its clock. Methods are facts, in the order in which they happen."""

    def __init__(self, settings: BreakerSettings = USUAL, *, is_probed: bool = False) -> None:
        self.now = 1000.0
        self.breaker = Breaker(settings, is_probed=is_probed, now=self.now)

    @property
    def state(self) -> State:
        return self.breaker.state

    def wait(self, seconds: float) -> "Script":
        self.now += seconds
        return self

    def ask(self) -> Permit | Refusal:
        return self.breaker.acquire(self.now)[0]

    def ask_as_prober(self) -> Permit | Refusal:
        return self.breaker.acquire_probe(self.now)[0]

    def permit(self) -> Permit:
        return granted(self.ask())

    def probe(self) -> Permit:
        return granted(self.ask_as_prober())

    def force(self) -> Permit:
        return granted(self.breaker.force(self.now))

    def end(self, permit: Permit, kind: Kind, retry_after_seconds: float | None = None) -> Transition | None:
        outcome = Outcome(kind, retry_after_seconds=retry_after_seconds)
        return self.breaker.report(permit, outcome, self.now)

    def requests(self, *kinds: Kind) -> "Script":
        """Requests one after the other, each over before the next begins."""
        for kind in kinds:
            self.end(self.permit(), kind)
        return self

    def trips(self) -> "Script":
        return self.requests(Kind.RESET, Kind.RESET, Kind.RESET)

    def recovers(self) -> "Script":
        """From a cooldown that is over to the beginning of the ramp."""
        return self.requests(Kind.OK, Kind.OK)

    def closes(self) -> "Script":
        """From a cooldown that is over to the moment in which everybody is let in again."""
        self.recovers().wait(60).permit()
        return self


def granted(answer: Permit | Refusal) -> Permit:
    assert isinstance(answer, Permit)
    return answer


def cooldown_seconds(script: Script) -> float:
    """How long an open, unprobed breaker goes on refusing."""
    refusal = script.ask()
    assert isinstance(refusal, Refusal)
    return refusal.retry_at - script.now


# Tripping


@pytest.mark.parametrize("kind", [kind for kind, weight in WEIGHTS.items() if weight is Weight.HARD])
def test_three_hard_failures_in_a_row_trip(kind: Kind) -> None:
    script = Script().requests(kind, kind)
    assert script.state is State.CLOSED
    assert script.requests(kind).state is State.OPEN


def test_one_success_ends_the_streak() -> None:
    script = Script().requests(Kind.RESET, Kind.RESET, Kind.OK, Kind.RESET, Kind.RESET)
    assert script.state is State.CLOSED


def test_rate_limit_neither_lengthens_nor_ends_the_streak() -> None:
    script = Script().requests(Kind.RESET, Kind.RATE_LIMITED, Kind.RESET)
    assert script.state is State.CLOSED
    assert script.requests(Kind.RESET).state is State.OPEN


def test_bad_ratio_trips_at_the_minimum_number_of_outcomes() -> None:
    alternating = (Kind.STALL, Kind.OK) * 4
    script = Script().requests(*alternating, Kind.STALL)
    assert script.state is State.CLOSED
    assert script.requests(Kind.STALL).state is State.OPEN


def test_ratio_of_exactly_one_half_does_not_trip() -> None:
    assert Script().requests(*(Kind.OK, Kind.STALL) * 20).state is State.CLOSED


def test_success_never_trips_however_bad_the_ratio_is() -> None:
    script = Script(NOT_BY_STREAK).requests(*[Kind.RESET] * 9)
    assert script.requests(Kind.OK).state is State.CLOSED


def test_failures_that_left_the_window_are_not_counted() -> None:
    script = Script(NOT_BY_STREAK).requests(*[Kind.RESET] * 9).wait(30)
    assert script.requests(*[Kind.RESET] * 9).state is State.CLOSED
    assert script.requests(Kind.RESET).state is State.OPEN


def test_rate_limits_trip_by_ratio_and_never_by_streak() -> None:
    script = Script().requests(*[Kind.RATE_LIMITED] * 9)
    assert script.state is State.CLOSED
    assert script.requests(Kind.RATE_LIMITED).state is State.OPEN


@pytest.mark.parametrize("kind", SAYING_NOTHING)
def test_outcomes_that_say_nothing_never_trip(kind: Kind) -> None:
    assert Script().requests(*[kind] * 50).state is State.CLOSED


@pytest.mark.parametrize("kind", SAYING_NOTHING)
def test_outcomes_that_say_nothing_leave_the_streak_as_it_was(kind: Kind) -> None:
    assert Script().requests(Kind.RESET, kind, Kind.RESET, kind, Kind.RESET).state is State.OPEN


def test_trip_names_its_cause() -> None:
    script = Script().requests(Kind.RESET, Kind.RESET)
    assert script.end(script.permit(), Kind.TLS) == Transition(State.CLOSED, State.OPEN, Kind.TLS)


def test_only_a_change_of_state_is_announced() -> None:
    script = Script()
    assert script.end(script.permit(), Kind.RESET) is None


# Late results


def test_late_success_does_not_close() -> None:
    script = Script()
    late = script.permit()
    script.trips()
    assert script.end(late, Kind.OK) is None
    assert script.state is State.OPEN


def test_late_failure_does_not_trip_again() -> None:
    script = Script()
    late = script.permit()
    script.trips().wait(5).end(late, Kind.RESET)
    assert cooldown_seconds(script) == 5


def test_late_results_do_not_count_in_half_open() -> None:
    script = Script()
    first, second = script.permit(), script.permit()
    script.trips().wait(10).permit()
    script.end(first, Kind.OK)
    script.end(second, Kind.RESET)
    assert script.state is State.HALF_OPEN


def test_late_result_does_not_free_the_place_in_half_open() -> None:
    script = Script()
    late = script.permit()
    script.trips().wait(10).permit()
    script.end(late, Kind.CLIENT_GONE)
    assert isinstance(script.ask(), Refusal)


def test_late_content_does_not_free_the_place_in_half_open() -> None:
    script = Script()
    late = script.permit()
    script.trips().wait(10).permit()
    script.breaker.first_content(late, script.now)
    assert isinstance(script.ask(), Refusal)


def test_late_rate_limit_does_not_pause() -> None:
    script = Script()
    late = script.permit()
    script.trips().wait(10).closes().end(late, Kind.RATE_LIMITED, 30)
    assert isinstance(script.ask(), Permit)


def test_failures_before_the_trip_are_forgotten_after_recovery() -> None:
    script = Script().trips().wait(10).closes()
    assert script.requests(Kind.RESET, Kind.RESET).state is State.CLOSED


def test_uncounted_results_change_nothing() -> None:
    script = Script()
    for _ in range(20):
        script.end(UNCOUNTED, Kind.RESET)
    assert script.state is State.CLOSED


# Open, and half-open without a prober


def test_open_refuses_until_the_cooldown_is_over() -> None:
    script = Script().trips().wait(9.99)
    assert script.ask() == Refusal(retry_at=1010.0)
    assert isinstance(script.wait(0.01).ask(), Permit)


def test_first_permit_after_the_cooldown_half_opens() -> None:
    script = Script().trips().wait(10)
    assert script.breaker.acquire(script.now)[1] == Transition(State.OPEN, State.HALF_OPEN, None)


def test_half_open_lets_one_out_at_a_time() -> None:
    script = Script().trips().wait(10)
    script.permit()
    assert script.ask() == Refusal(retry_at=script.now)


def test_two_successes_in_a_row_begin_the_ramp() -> None:
    script = Script().trips().wait(10).requests(Kind.OK)
    assert script.state is State.HALF_OPEN
    assert script.end(script.permit(), Kind.OK) == Transition(State.HALF_OPEN, State.RAMPING, Kind.OK)


def test_failure_after_one_success_opens_again() -> None:
    assert Script().trips().wait(10).requests(Kind.OK, Kind.RESET).state is State.OPEN


def test_rate_limited_request_opens_again() -> None:
    assert Script().trips().wait(10).requests(Kind.RATE_LIMITED).state is State.OPEN


@pytest.mark.parametrize("kind", SAYING_NOTHING)
def test_outcome_that_says_nothing_frees_the_place(kind: Kind) -> None:
    script = Script().trips().wait(10).requests(kind)
    assert script.state is State.HALF_OPEN
    assert isinstance(script.ask(), Permit)


def test_outcome_that_says_nothing_keeps_the_success_before_it() -> None:
    assert Script().trips().wait(10).requests(Kind.OK, Kind.CLIENT_GONE, Kind.OK).state is State.RAMPING


def test_first_content_frees_the_place_and_the_verdict_still_counts() -> None:
    script = Script().trips().wait(10)
    streaming = script.permit()
    script.breaker.first_content(streaming, script.now)
    script.requests(Kind.OK)
    assert script.end(streaming, Kind.OK) == Transition(State.HALF_OPEN, State.RAMPING, Kind.OK)


def test_stream_that_breaks_after_its_first_content_opens_again() -> None:
    script = Script().trips().wait(10)
    streaming = script.permit()
    script.breaker.first_content(streaming, script.now)
    script.requests(Kind.OK).end(streaming, Kind.CUT)
    assert script.state is State.OPEN


def test_verdict_on_a_stream_does_not_free_the_place_of_the_next_permit() -> None:
    script = Script().trips().wait(10)
    streaming = script.permit()
    script.breaker.first_content(streaming, script.now)
    script.permit()
    script.end(streaming, Kind.OK)
    assert isinstance(script.ask(), Refusal)


# The cooldown


def test_cooldown_doubles_with_every_failed_recovery_up_to_its_cap() -> None:
    script = Script().trips()
    cooldowns = [cooldown_seconds(script)]
    for _ in range(6):
        script.wait(cooldowns[-1]).requests(Kind.RESET)
        cooldowns.append(cooldown_seconds(script))
    assert cooldowns == [10, 20, 40, 80, 160, 300, 300]


def test_trip_soon_after_recovery_goes_on_doubling() -> None:
    script = Script().trips().wait(10).closes().wait(29).trips()
    assert cooldown_seconds(script) == 20


def test_cooldown_is_forgiven_after_a_window_of_health() -> None:
    script = Script().trips().wait(10).closes().wait(30).trips()
    assert cooldown_seconds(script) == 10


@pytest.mark.parametrize(("healthy_seconds", "cooldown"), [(39, 80), (40, 10)])
def test_long_cooldown_is_forgiven_after_as_long_a_time_of_health(healthy_seconds: float, cooldown: float) -> None:
    script = Script().trips().wait(10).requests(Kind.RESET).wait(20).requests(Kind.RESET)
    assert cooldown_seconds(script) == 40
    assert cooldown_seconds(script.wait(40).closes().wait(healthy_seconds).trips()) == cooldown


def test_upstream_that_flaps_is_left_alone_for_longer_and_longer() -> None:
    script, cooldowns = Script().trips(), []
    for _ in range(4):
        cooldowns.append(cooldown_seconds(script))
        script.wait(cooldowns[-1]).closes().wait(5).trips()
    assert cooldowns == [10, 20, 40, 80]


def test_time_spent_open_is_no_health() -> None:
    script = Script().trips().wait(1000).requests(Kind.RESET)
    assert cooldown_seconds(script) == 20


# With a prober


def test_probed_breaker_refuses_clients_even_after_the_cooldown() -> None:
    script = Script(is_probed=True).trips().wait(1000)
    assert script.ask() == Refusal(retry_at=script.now)


def test_probed_breaker_lets_the_prober_in_after_the_cooldown() -> None:
    script = Script(is_probed=True).trips().wait(9)
    assert isinstance(script.ask_as_prober(), Refusal)
    assert isinstance(script.wait(1).ask_as_prober(), Permit)
    assert script.state is State.HALF_OPEN


def test_closed_breaker_needs_no_probe() -> None:
    assert isinstance(Script(is_probed=True).ask_as_prober(), Refusal)


def test_client_waits_while_the_probe_is_out() -> None:
    script = Script(is_probed=True).trips().wait(10)
    script.probe()
    assert isinstance(script.ask(), Refusal)


def test_probe_waits_while_a_client_is_out() -> None:
    script = Script(is_probed=True).trips().wait(10)
    script.end(script.probe(), Kind.OK)
    script.permit()
    assert isinstance(script.ask_as_prober(), Refusal)


def test_two_successful_probes_begin_the_ramp() -> None:
    script = Script(is_probed=True).trips().wait(10)
    script.end(script.probe(), Kind.OK)
    script.end(script.probe(), Kind.OK)
    assert script.state is State.RAMPING


def test_successful_probe_and_client_are_proof_together() -> None:
    script = Script(is_probed=True).trips().wait(10)
    script.end(script.probe(), Kind.OK)
    assert script.requests(Kind.OK).state is State.RAMPING


def test_inconclusive_probe_leaves_half_open_to_clients() -> None:
    script = Script(is_probed=True).trips().wait(10)
    script.end(script.probe(), Kind.CALLER_ERROR)
    assert script.requests(Kind.OK, Kind.OK).state is State.RAMPING


def test_inconclusive_probe_is_repeated_after_another_cooldown() -> None:
    script = Script(is_probed=True).trips().wait(10)
    script.end(script.probe(), Kind.CALLER_ERROR)
    assert isinstance(script.wait(9).ask_as_prober(), Refusal)
    assert isinstance(script.wait(1).ask_as_prober(), Permit)


def test_failed_probe_opens_again_for_longer() -> None:
    script = Script(is_probed=True).trips().wait(10)
    assert script.end(script.probe(), Kind.DNS) == Transition(State.HALF_OPEN, State.OPEN, Kind.DNS)
    assert isinstance(script.wait(19).ask_as_prober(), Refusal)


def test_rate_limited_probe_keeps_it_open_for_as_long_as_it_was_told() -> None:
    script = Script(is_probed=True).trips().wait(10)
    script.end(script.probe(), Kind.RATE_LIMITED, 45)
    assert script.state is State.OPEN
    assert isinstance(script.wait(44).ask_as_prober(), Refusal)
    assert isinstance(script.wait(1).ask_as_prober(), Permit)


# The way back


def ramping(*, is_probed: bool = False) -> Script:
    script = Script(is_probed=is_probed).trips().wait(10)
    for _ in range(2):
        script.end(script.probe() if is_probed else script.permit(), Kind.OK)
    return script


def is_let_in(script: Script, place: float) -> bool:
    return isinstance(script.breaker.acquire(script.now, lambda: place)[0], Permit)


@pytest.mark.parametrize(
    ("after_seconds", "shares"),
    [(0, [True, False, False, False]), (20, [True, True, False, False]), (40, [True, True, True, False])],
)
def test_shares_come_back_one_after_the_other(after_seconds: float, shares: list[bool]) -> None:
    script = ramping().wait(after_seconds)
    assert [is_let_in(script, place) for place in (0.049, 0.249, 0.499, 0.999)] == shares


def test_last_share_closes() -> None:
    script = ramping().wait(60)
    permit, transition = script.breaker.acquire(script.now, lambda: 0.999)
    assert isinstance(permit, Permit)
    assert transition == Transition(State.RAMPING, State.CLOSED, None)


def test_whoever_is_not_let_in_is_told_when_to_come_back() -> None:
    script = ramping()
    assert script.breaker.acquire(script.now, lambda: 0.3)[0] == Refusal(script.now + 40)


def test_whoever_has_nowhere_else_to_go_is_let_in() -> None:
    assert isinstance(ramping().ask(), Permit)


def test_many_are_let_in_at_a_time() -> None:
    script = ramping()
    script.permit()
    assert isinstance(script.ask(), Permit)


def test_prober_has_nothing_to_find_out_and_ends_the_ramp_in_time() -> None:
    script = ramping(is_probed=True).wait(59)
    assert script.breaker.acquire_probe(script.now) == (Refusal(script.now), None)
    assert script.wait(1).breaker.acquire_probe(script.now)[1] == Transition(State.RAMPING, State.CLOSED, None)


@pytest.mark.parametrize("is_probed", [False, True])
def test_early_failure_on_the_way_back_opens_for_longer(is_probed: bool) -> None:
    script = ramping(is_probed=is_probed).requests(Kind.OK, Kind.STALL)
    assert (script.state, script.breaker.open_seconds(script.now)) == (State.OPEN, 20)


def test_lone_failure_among_many_successes_does_not_end_the_way_back() -> None:
    script = ramping().requests(*[Kind.OK] * 19, Kind.RESET)
    assert script.state is State.RAMPING
    assert script.requests(Kind.RESET).state is State.OPEN


def test_rate_limit_on_the_way_back_pauses_and_does_not_open() -> None:
    script = ramping()
    script.end(script.permit(), Kind.RATE_LIMITED, 5)
    assert script.state is State.RAMPING
    assert script.ask() == Refusal(script.now + 5)
    assert isinstance(script.wait(5).ask(), Permit)


def test_result_of_the_ramp_still_counts_when_it_is_over() -> None:
    script = ramping()
    permits = [script.permit() for _ in range(3)]
    script.wait(60).permit()
    for permit in permits:
        script.end(permit, Kind.FIRST_CONTENT_TIMEOUT)
    assert script.state is State.OPEN


def test_forced_request_counts_on_the_way_back_only() -> None:
    script = ramping()
    script.end(script.force(), Kind.RESET)
    assert script.state is State.OPEN
    for kind in (Kind.OK, Kind.OK, Kind.OK):
        script.end(script.force(), kind)
    assert script.state is State.OPEN


# Forced


def silent(kind: Kind = Kind.FIRST_CONTENT_TIMEOUT) -> Script:
    """Open, because it did not answer."""
    return Script().requests(Kind.RESET, Kind.RESET, kind)


def test_upstream_that_fails_at_once_is_forced_by_everybody() -> None:
    script = Script().trips()
    assert all(isinstance(script.breaker.force(script.now), Permit) for _ in range(9))


@pytest.mark.parametrize("kind", [Kind.CONNECT_TIMEOUT, Kind.FIRST_CONTENT_TIMEOUT, Kind.DEADLINE, Kind.SLOW], ids=str)
def test_upstream_that_is_silent_is_forced_by_one_at_a_time(kind: Kind) -> None:
    script = silent(kind)
    first = script.force()
    assert script.breaker.force(script.now) == Refusal(script.now + 10)
    script.end(first, kind)
    assert isinstance(script.breaker.force(script.now), Permit)


@pytest.mark.parametrize("kind", [Kind.OK, Kind.CALLER_ERROR, Kind.SERVER_ERROR], ids=str)
def test_silence_is_over_when_one_that_was_forced_has_an_answer(kind: Kind) -> None:
    script = silent()
    script.end(script.force(), kind)
    assert all(isinstance(script.breaker.force(script.now), Permit) for _ in range(9))


def test_silence_is_over_at_the_first_content() -> None:
    script = silent()
    script.breaker.first_content(script.force(), script.now)
    assert all(isinstance(script.breaker.force(script.now), Permit) for _ in range(9))


def test_client_that_leaves_has_learnt_nothing_of_a_silence() -> None:
    script = silent()
    script.end(script.force(), Kind.CLIENT_GONE)
    script.force()
    assert isinstance(script.breaker.force(script.now), Refusal)


def test_silence_that_begins_while_it_is_open_is_noticed() -> None:
    script = Script().trips()
    script.end(script.force(), Kind.FIRST_CONTENT_TIMEOUT)
    script.force()
    assert isinstance(script.breaker.force(script.now), Refusal)


def test_silent_upstream_that_is_being_probed_is_not_forced() -> None:
    script = silent().wait(10)
    script.permit()
    assert isinstance(script.breaker.force(script.now), Refusal)


def test_forced_request_that_ends_after_the_probe_has_begun_leaves_the_probe_alone() -> None:
    script = silent()
    forced = script.force()
    probe = script.wait(10).permit()
    script.end(forced, Kind.FIRST_CONTENT_TIMEOUT)
    assert isinstance(script.ask(), Refusal), "the probe is out"
    script.end(probe, Kind.OK)
    assert isinstance(script.ask(), Permit)


# Pauses


def test_retry_after_pauses_a_closed_breaker() -> None:
    script = Script()
    script.end(script.permit(), Kind.RATE_LIMITED, 20)
    assert script.state is State.CLOSED
    assert script.ask() == Refusal(retry_at=1020.0)
    assert isinstance(script.wait(20).ask(), Permit)


def test_pause_is_capped_at_a_minute() -> None:
    script = Script()
    script.end(script.permit(), Kind.RATE_LIMITED, 86_400)
    assert script.ask() == Refusal(retry_at=1060.0)


def test_rate_limit_without_retry_after_does_not_pause() -> None:
    assert isinstance(Script().requests(Kind.RATE_LIMITED).ask(), Permit)


def test_retry_after_outlasts_the_cooldown() -> None:
    script = Script()
    last = script.requests(Kind.RESET, Kind.RESET).permit()
    script.end(last, Kind.SERVER_ERROR, 50)
    assert script.wait(10).ask() == Refusal(retry_at=1050.0)


def test_outcome_that_says_nothing_does_not_pause() -> None:
    script = Script()
    script.end(script.permit(), Kind.CALLER_ERROR, 30)
    assert isinstance(script.ask(), Permit)


# Suspicion


@pytest.mark.parametrize("kind", [kind for kind, weight in WEIGHTS.items() if weight is Weight.HARD])
def test_first_hard_failure_makes_suspect_and_refuses_nobody(kind: Kind) -> None:
    script = Script().requests(kind)
    assert script.breaker.is_suspect(script.now)
    assert isinstance(script.ask(), Permit)


@pytest.mark.parametrize("kind", [Kind.OK, *SAYING_NOTHING])
def test_what_is_no_failure_makes_nobody_suspect(kind: Kind) -> None:
    script = Script().requests(*[kind] * 5)
    assert not script.breaker.is_suspect(script.now)


def test_five_successes_in_a_row_end_suspicion() -> None:
    script = Script().requests(Kind.RESET, *[Kind.OK] * 4)
    assert script.breaker.is_suspect(script.now)
    assert not script.requests(Kind.OK).breaker.is_suspect(script.now)


def test_failure_between_successes_begins_the_count_anew() -> None:
    script = Script().requests(Kind.RESET, *[Kind.OK] * 4, Kind.RESET, *[Kind.OK] * 4)
    assert script.breaker.is_suspect(script.now)


def test_minute_without_requests_ends_suspicion() -> None:
    script = Script().requests(Kind.RESET).wait(59)
    assert script.breaker.is_suspect(script.now)
    assert not script.wait(1).breaker.is_suspect(script.now)


def test_rate_limits_make_suspect_when_they_are_more_than_one_in_five() -> None:
    script = Script().requests(*[Kind.OK] * 4, Kind.RATE_LIMITED)
    assert not script.breaker.is_suspect(script.now)
    assert script.requests(Kind.RATE_LIMITED).breaker.is_suspect(script.now)


@pytest.mark.parametrize("recovers", [False, True])
def test_whatever_is_not_closed_is_suspect(recovers: bool) -> None:
    script = Script().trips().wait(100)
    if recovers:
        script.recovers().wait(59)
    assert script.breaker.is_suspect(script.now)


def test_suspicion_is_told_once_and_again_when_it_lasts() -> None:
    script = Script(BreakerSettings(consecutive=1000, minimum=1000))
    told = [script.requests(Kind.RESET).wait(1).breaker.take_doubt() for _ in range(121)]
    assert told == [Doubt.FAILURE, *[None] * 59, Doubt.FAILURE, *[None] * 59, Doubt.FAILURE]


def leave(script: Script, *, times: int, kind: Kind = Kind.CLIENT_GONE, has_waited: bool = True) -> None:
    for _ in range(times):
        script.breaker.report(script.permit(), Outcome(kind), script.now, has_waited=has_waited)


@pytest.mark.parametrize("kind", [Kind.CLIENT_GONE, Kind.CLIENT_DEADLINE])
def test_five_clients_that_give_up_waiting_make_suspect(kind: Kind) -> None:
    script = Script()
    leave(script, times=4, kind=kind)
    assert not script.breaker.is_suspect(script.now)
    leave(script, times=1, kind=kind)
    assert script.breaker.take_doubt() is Doubt.IMPATIENCE


def test_clients_that_leave_in_the_middle_of_an_answer_say_nothing() -> None:
    script = Script()
    leave(script, times=50, has_waited=False)
    assert not script.breaker.is_suspect(script.now)


def test_surge_of_impatience_trips_nothing() -> None:
    script = Script()
    leave(script, times=100)
    assert script.state is State.CLOSED
    assert isinstance(script.ask(), Permit)


def test_streams_that_show_content_count_as_waits_that_ended_well() -> None:
    script = Script()
    for _ in range(10):
        leave(script, times=1)
        for _ in range(2):
            script.breaker.first_content(script.permit(), script.now)
    assert not script.breaker.is_suspect(script.now)


def test_answers_that_were_waited_for_count_as_waits_that_ended_well() -> None:
    script = Script()
    for _ in range(10):
        leave(script, times=1)
        for _ in range(2):
            script.breaker.report(script.permit(), Outcome(Kind.OK), script.now, has_waited=True)
    assert not script.breaker.is_suspect(script.now)


def test_idle_means_that_nothing_has_ended_for_a_window() -> None:
    script = Script()
    assert script.breaker.is_idle(script.now)
    script.requests(Kind.OK)
    assert not script.breaker.is_idle(script.now)
    assert script.wait(30).breaker.is_idle(script.now)


# Forgetting


def test_breaker_is_pristine_until_a_streak_begins() -> None:
    script = Script().requests(Kind.OK)
    assert script.breaker.is_pristine
    assert not script.requests(Kind.RESET).breaker.is_pristine


def test_breaker_is_pristine_again_after_recovery() -> None:
    script = Script().trips()
    assert not script.breaker.is_pristine
    assert script.wait(10).closes().breaker.is_pristine
