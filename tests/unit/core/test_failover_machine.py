"""The way through the candidates, as scripts of facts."""

import dataclasses
import math

import pytest

from proxy.core.action import (
    LOOK_SECONDS,
    Action,
    BreakOff,
    Commit,
    Finish,
    GiveUp,
    Promote,
    Start,
    Timeouts,
    Tried,
    Wait,
    learnt,
    reconsidered,
)
from proxy.core.breaker import Refusal
from proxy.core.candidates import Candidate
from proxy.core.failover import DEFAULT_RETRY_AFTER_SECONDS, Failover, Opening
from proxy.core.outcome import WEIGHTS, Kind, Outcome

ACME = Candidate("acme", "gpt", is_local=False)
ZEUS = Candidate("zeus", "gpt", is_local=False)
LOCAL = Candidate("local", "smollm2", is_local=True)
TIMEOUTS = {
    "acme": Timeouts(connect_seconds=2, first_content_seconds=10, stall_seconds=15),
    "zeus": Timeouts(connect_seconds=1, first_content_seconds=5, stall_seconds=8),
    "local": Timeouts(connect_seconds=3, first_content_seconds=60, stall_seconds=30),
}
NO_ANSWER = [kind for kind in WEIGHTS if not Outcome(kind).is_answer]


class Script:
    """One request, its machine and its clock. Methods are facts, in the order in which they happen."""

    def __init__(
        self,
        *candidates: Candidate,
        is_stream: bool = True,
        deadline_seconds: float = 120,
        reserve_seconds: float = 30,
        hedges: bool = False,
    ) -> None:
        self.now = 500.0
        self.machine = Failover(
            candidates,
            TIMEOUTS,
            is_stream=is_stream,
            deadline_at=self.now + deadline_seconds,
            deadline_kind=Kind.CLIENT_DEADLINE,
            local_reserve_seconds=reserve_seconds,
            hedges=hedges,
        )
        self.action: Action = self.machine.begin(self.now)

    def wait(self, seconds: float) -> "Script":
        self.now += seconds
        return self

    def refused(self, *, for_seconds: float = 10) -> "Script":
        self.action = self.machine.refused(Refusal(self.now + for_seconds), self.now)
        return self

    def content(self) -> "Script":
        self.action = self.machine.content()
        return self

    def ends(self, kind: Kind, status: int | None = None, retry_after_seconds: float | None = None) -> "Script":
        self.action = self.machine.ended(Outcome(kind, status, retry_after_seconds), self.now)
        return self

    def overdue(self) -> "Script":
        """The running attempt is silent up to its `hedge_at`."""
        self.now = self.start.hedge_at
        self.action = self.machine.overdue(self.now)
        return self

    def hedge_shows(self) -> "Script":
        self.action = self.machine.hedge_shows()
        return self

    def must_yield(self) -> "Script":
        self.action = self.machine.must_yield()
        return self

    @property
    def start(self) -> Start:
        assert isinstance(self.action, Start)
        return self.action

    @property
    def give_up(self) -> GiveUp:
        assert isinstance(self.action, GiveUp)
        return self.action


def test_first_candidate_is_started_first() -> None:
    start = Script(ACME, LOCAL).start
    assert (start.candidate, start.number, start.is_forced) == (ACME, 1, False)


def test_start_carries_the_timeouts_of_its_upstream() -> None:
    start = Script(ACME, ZEUS).ends(Kind.RESET).start
    assert (start.connect_seconds, start.limit_at, start.stall_seconds) == (1, 505, 8)


@pytest.mark.parametrize("kind", [Kind.OK, Kind.CALLER_ERROR])
def test_whole_answer_finishes(kind: Kind) -> None:
    assert Script(ACME, LOCAL, is_stream=False).ends(kind).action == Finish()


def test_content_commits_and_a_good_end_finishes() -> None:
    script = Script(ACME, LOCAL).content()
    assert script.action == Commit()
    assert script.ends(Kind.OK).action == Finish()


@pytest.mark.parametrize("kind", NO_ANSWER)
def test_failure_before_content_goes_silently_to_the_next(kind: Kind) -> None:
    start = Script(ACME, LOCAL).ends(kind).start
    assert (start.candidate, start.number) == (LOCAL, 2)


@pytest.mark.parametrize("kind", NO_ANSWER)
def test_failure_after_content_breaks_off(kind: Kind) -> None:
    assert Script(ACME, LOCAL).content().ends(kind).action == BreakOff(Outcome(kind))


RESUMING_LOCAL = dataclasses.replace(LOCAL, prefill="hotspare")


@pytest.mark.parametrize("kind", NO_ANSWER)
def test_stream_that_breaks_goes_on_with_whoever_can(kind: Kind) -> None:
    start = Script(ACME, ZEUS, RESUMING_LOCAL).content().ends(kind).start
    assert (start.candidate, start.is_resuming, start.number) == (RESUMING_LOCAL, True, 2)


def test_what_nobody_can_go_on_behind_breaks_off() -> None:
    script = Script(ACME, RESUMING_LOCAL).content()
    outcome = Outcome(Kind.CUT)
    assert script.machine.ended(outcome, script.now, can_go_on=False) == BreakOff(outcome)


def test_deadline_is_for_the_first_content_only() -> None:
    start = Script(ACME, RESUMING_LOCAL).content().wait(1000).ends(Kind.STALL).start
    assert start.limit_at == 1500 + TIMEOUTS["local"].first_content_seconds


@pytest.mark.parametrize("kind", [Kind.CALLER_ERROR, Kind.SERVER_ERROR])
def test_stream_breaks_off_when_the_last_who_can_go_on_does_not(kind: Kind) -> None:
    action = Script(ACME, RESUMING_LOCAL).content().ends(Kind.CUT).ends(kind).action
    assert action == BreakOff(Outcome(kind))


def test_candidate_that_is_refused_while_resuming_makes_place_for_the_next() -> None:
    zeus = dataclasses.replace(ZEUS, prefill="assistant")
    script = Script(ACME, zeus, RESUMING_LOCAL).content().ends(Kind.CUT)
    assert script.start.candidate == zeus
    assert script.refused().start.candidate == RESUMING_LOCAL


def test_stream_of_the_local_model_goes_on_when_its_process_is_back() -> None:
    script = Script(RESUMING_LOCAL).content().ends(Kind.CUT)
    assert (script.start.candidate, script.start.is_resuming) == (RESUMING_LOCAL, True)
    assert script.content().ends(Kind.CUT).action == BreakOff(Outcome(Kind.CUT))


def test_refused_candidate_is_passed_over_and_is_no_attempt() -> None:
    script = Script(ACME, LOCAL).refused()
    assert (script.start.candidate, script.start.number, script.machine.attempts) == (LOCAL, 1, 1)


def test_nobody_to_ask_gives_up_at_once() -> None:
    assert Script().give_up == GiveUp((), DEFAULT_RETRY_AFTER_SECONDS)


def test_give_up_lists_everybody_in_order() -> None:
    script = Script(ACME, ZEUS).ends(Kind.SERVER_ERROR, 503).ends(Kind.DNS)
    assert script.give_up.tried == (Tried("acme", Kind.SERVER_ERROR, 503), Tried("zeus", Kind.DNS))


# The deadline


def test_part_of_the_deadline_is_kept_for_the_local_model() -> None:
    assert Script(ACME, LOCAL, is_stream=False).start.limit_at == 590


def test_nothing_is_kept_where_no_local_model_comes_after() -> None:
    assert Script(ACME, ZEUS, is_stream=False).start.limit_at == 620
    assert Script(LOCAL, ACME, is_stream=False).start.limit_at == 620
    assert Script(LOCAL, ACME, is_stream=False).ends(Kind.UNAVAILABLE).start.limit_at == 620


def test_local_model_gets_all_that_is_left() -> None:
    assert Script(ACME, LOCAL, is_stream=False).wait(90).ends(Kind.DEADLINE).start.limit_at == 620


def test_first_content_is_due_before_the_time_is_over() -> None:
    start = Script(ACME, LOCAL, deadline_seconds=35).start
    assert (start.limit_at, start.late_kind) == (505, Kind.CLIENT_DEADLINE)


def test_lateness_is_named_after_whose_limit_it_was() -> None:
    assert Script(ACME).start.late_kind is Kind.FIRST_CONTENT_TIMEOUT
    assert Script(ACME, is_stream=False).start.late_kind is Kind.CLIENT_DEADLINE


def test_candidate_whose_time_is_over_is_not_started() -> None:
    script = Script(ACME, ZEUS, LOCAL).wait(95).ends(Kind.DEADLINE)
    assert script.start.candidate is LOCAL
    assert script.machine.tried == (Tried("acme", Kind.DEADLINE), Tried("zeus", Kind.CLIENT_DEADLINE))


def test_nobody_is_started_after_the_deadline() -> None:
    script = Script(ACME, LOCAL).refused().wait(120).ends(Kind.DEADLINE)
    assert script.give_up.tried == (Tried("acme", Kind.BREAKER_OPEN), Tried("local", Kind.DEADLINE))


# Panic


def test_best_of_the_refused_is_forced_when_all_were_refused() -> None:
    start = Script(ACME, ZEUS).refused().refused().start
    assert (start.candidate, start.is_forced, start.number) == (ACME, True, 1)


def test_refused_one_is_forced_when_the_others_failed() -> None:
    start = Script(ACME, LOCAL).refused().ends(Kind.UNAVAILABLE).start
    assert (start.candidate, start.is_forced, start.number) == (ACME, True, 2)


def test_panic_comes_once() -> None:
    script = Script(ACME, ZEUS).refused().refused().ends(Kind.RESET)
    assert [tried.kind for tried in script.give_up.tried] == [Kind.BREAKER_OPEN, Kind.BREAKER_OPEN, Kind.RESET]


def test_next_best_is_forced_when_even_that_is_refused() -> None:
    script = Script(ACME, ZEUS).refused().refused().refused()
    assert (script.start.candidate, script.start.is_forced) == (ZEUS, True)


def test_nobody_is_left_when_nobody_can_be_forced() -> None:
    script = Script(ACME, LOCAL).refused().ends(Kind.UNAVAILABLE).refused(for_seconds=7)
    assert script.give_up == GiveUp((Tried("acme", Kind.BREAKER_OPEN), Tried("local", Kind.UNAVAILABLE)), 7)


def test_forced_attempt_can_answer() -> None:
    assert Script(ACME).refused().content().ends(Kind.OK).action == Finish()


# The local model


@pytest.mark.parametrize("kind", [Kind.CONNECT, Kind.RESET, Kind.CUT])
def test_local_model_that_died_is_asked_once_more(kind: Kind) -> None:
    script = Script(ACME, LOCAL).ends(Kind.DNS).ends(kind)
    assert (script.start.candidate, script.start.number) == (LOCAL, 3)
    assert isinstance(script.ends(kind).action, GiveUp)


@pytest.mark.parametrize("kind", [kind for kind in NO_ANSWER if kind not in (Kind.CONNECT, Kind.RESET, Kind.CUT)])
def test_local_model_that_lives_is_not_asked_again(kind: Kind) -> None:
    assert isinstance(Script(LOCAL).ends(kind).action, GiveUp)


def test_cloud_that_was_cut_is_not_asked_again() -> None:
    assert isinstance(Script(ACME).ends(Kind.CUT).action, GiveUp)


def test_request_that_is_beyond_the_stand_in_is_not_blamed_on_the_caller() -> None:
    script = Script(ACME, LOCAL).ends(Kind.RESET).ends(Kind.CALLER_ERROR, 400)
    assert script.give_up.tried[-1] == Tried("local", Kind.CALLER_ERROR, 400)


def test_request_that_was_meant_for_the_local_model_is_the_callers() -> None:
    assert Script(LOCAL).ends(Kind.CALLER_ERROR, 400).action == Finish()


def test_caller_error_of_a_second_cloud_is_the_callers() -> None:
    assert Script(ACME, ZEUS).ends(Kind.RESET).ends(Kind.CALLER_ERROR, 400).action == Finish()


# When to come back


@pytest.mark.parametrize(
    ("waits", "seconds"), [((40.0, 20.0), 20.0), ((0.2, 30.0), 1.0), ((600.0, 900.0), 60.0), ((None, None), 5.0)]
)
def test_retry_after_is_the_soonest_within_bounds(waits: tuple[float | None, float | None], seconds: float) -> None:
    script = Script(ACME, ZEUS)
    for wait in waits:
        script.ends(Kind.RATE_LIMITED, 429, wait)
    assert script.give_up.retry_after_seconds == seconds


def test_retry_after_is_measured_from_the_end() -> None:
    script = Script(ACME, ZEUS).refused(for_seconds=40).wait(25).ends(Kind.RESET).wait(5).ends(Kind.RESET)
    assert script.give_up.retry_after_seconds == 10


@pytest.mark.parametrize(
    ("tried", "text"),
    [
        (Tried("acme", Kind.SERVER_ERROR, 503), "acme: server_error 503"),
        (Tried("acme", Kind.BREAKER_OPEN), "acme: breaker_open"),
    ],
)
def test_tried_reads_as_a_reason(tried: Tried, text: str) -> None:
    assert str(tried) == text


def test_fact_while_nothing_runs_is_a_fault_of_the_driver() -> None:
    script = Script(ACME).ends(Kind.OK)
    with pytest.raises(RuntimeError):
        script.ends(Kind.OK)


# ---- a second try


@pytest.mark.parametrize("status", [500, 502, 503])
def test_passing_failure_is_asked_again_after_a_pause(status: int) -> None:
    script = Script(ACME, LOCAL)
    outcome = Outcome(Kind.SERVER_ERROR, status)
    assert script.machine.is_passing(outcome)
    start = script.machine.ended(outcome, script.now, retry_after_seconds=0.3)
    assert isinstance(start, Start)
    assert (start.candidate, start.number, start.begin_at) == (ACME, 2, script.now + 0.3)
    assert not script.machine.is_passing(outcome), "once"


@pytest.mark.parametrize(
    "outcome",
    [Outcome(Kind.SERVER_ERROR, 529), Outcome(Kind.SERVER_ERROR, 503, 2.0), Outcome(Kind.RESET), Outcome(Kind.STALL)],
    ids=str,
)
def test_other_failures_are_not_passing(outcome: Outcome) -> None:
    assert not Script(ACME, LOCAL).machine.is_passing(outcome)


def test_failure_of_the_local_model_is_not_passing() -> None:
    assert not Script(LOCAL).machine.is_passing(Outcome(Kind.SERVER_ERROR, 500))


# ---- hedging


def hedging(*candidates: Candidate, is_stream: bool = True) -> Script:
    return Script(*candidates, is_stream=is_stream, hedges=True)


@pytest.mark.parametrize(("is_stream", "hedge_after"), [(True, 2.5), (False, 5)])
def test_silence_is_odd_after_a_quarter_of_a_streams_limit_and_looked_at_where_nothing_is_streamed(
    is_stream: bool, hedge_after: float
) -> None:
    start = hedging(ACME, LOCAL, is_stream=is_stream).start
    assert (start.hedge_at - 500, start.yield_at) == (hedge_after, math.inf)


def test_understudy_has_a_quarter_of_the_time_however_little_there_is() -> None:
    start = Script(ACME, LOCAL, is_stream=False, deadline_seconds=6, reserve_seconds=2, hedges=True).start
    assert start.hedge_at - 500 == 3


@pytest.mark.parametrize("candidates", [(ACME,), (ACME, ZEUS), (LOCAL,)], ids=str)
def test_nobody_is_hedged_without_a_local_model_behind_it(candidates: tuple[Candidate, ...]) -> None:
    assert hedging(*candidates).start.hedge_at == math.inf


def test_hedging_can_be_switched_off() -> None:
    assert Script(ACME, LOCAL).start.hedge_at == math.inf


def test_silent_upstream_gets_an_understudy() -> None:
    start = hedging(ACME, ZEUS, LOCAL).overdue().start
    assert (start.candidate, start.is_hedge, start.number, start.hedge_at) == (LOCAL, True, 2, math.inf)


def test_there_is_one_understudy_for_a_request() -> None:
    script = hedging(ACME, ZEUS, LOCAL).overdue().ends(Kind.RESET)
    assert script.start.candidate == ZEUS
    assert script.overdue().action == Wait()


def test_understudy_waits_while_the_first_one_has_time() -> None:
    assert hedging(ACME, LOCAL).overdue().hedge_shows().action == Wait()


def test_first_one_is_preferred_when_it_comes_in_time() -> None:
    script = hedging(ACME, LOCAL).overdue().hedge_shows().content()
    assert script.action == Commit()
    assert script.ends(Kind.OK).action == Finish()


@pytest.mark.parametrize("kind", NO_ANSWER)
def test_understudy_with_content_takes_over_when_the_first_one_fails(kind: Kind) -> None:
    script = hedging(ACME, ZEUS, LOCAL).overdue().hedge_shows().ends(kind)
    assert script.action == Promote()
    assert script.content().ends(Kind.OK).action == Finish()
    assert script.machine.tried == (Tried("acme", kind),)


def test_next_cloud_is_asked_while_the_understudy_has_nothing() -> None:
    script = hedging(ACME, ZEUS, LOCAL).overdue().ends(Kind.RESET)
    assert script.start.candidate == ZEUS
    assert script.ends(Kind.RESET).action == Promote()


def test_understudy_is_not_started_a_second_time() -> None:
    script = hedging(ACME, LOCAL).overdue().ends(Kind.FIRST_CONTENT_TIMEOUT)
    assert script.action == Promote()
    assert script.ends(Kind.UNAVAILABLE).give_up.tried == (
        Tried("acme", Kind.FIRST_CONTENT_TIMEOUT),
        Tried("local", Kind.UNAVAILABLE),
    )


def test_unstreamed_answer_yields_to_the_understudys_when_its_time_is_over() -> None:
    early = hedging(ACME, LOCAL, is_stream=False).overdue().hedge_shows()
    assert early.action == Wait()
    assert early.must_yield().action == Promote()
    late = hedging(ACME, LOCAL, is_stream=False).overdue().must_yield()
    assert late.action == Wait()
    assert late.hedge_shows().action == Promote()
    assert late.machine.tried == (Tried("acme", Kind.SLOW),)


def test_understudy_that_fails_leaves_the_first_one_alone() -> None:
    script = hedging(ACME, LOCAL).overdue()
    assert script.machine.hedge_failed(Kind.UNAVAILABLE) == Wait()
    assert script.content().ends(Kind.OK).action == Finish()


@pytest.mark.parametrize("kind", [Kind.RESET, Kind.CONNECT, Kind.CUT])
def test_understudy_whose_process_died_gets_a_second_turn(kind: Kind) -> None:
    script = hedging(ACME, LOCAL).overdue()
    script.machine.hedge_failed(kind)
    start = script.ends(Kind.FIRST_CONTENT_TIMEOUT).start
    assert (start.candidate, start.is_hedge) == (LOCAL, False)
    assert isinstance(script.ends(kind).action, GiveUp), "but no third one"


def test_stream_that_breaks_after_an_understudy_was_dropped_goes_on_with_the_local_model() -> None:
    script = hedging(ACME, RESUMING_LOCAL).overdue().hedge_shows().content().ends(Kind.CUT)
    assert (script.start.candidate, script.start.is_resuming) == (RESUMING_LOCAL, True)


def repeated(script: Script, *, is_local_ready: bool) -> Start:
    """A lone 503, which is asked again 0.3 s later."""
    outcome = Outcome(Kind.SERVER_ERROR, 503)
    action = script.machine.ended(outcome, script.now, retry_after_seconds=0.3, is_local_ready=is_local_ready)
    assert isinstance(action, Start)
    return action


@pytest.mark.parametrize("is_stream", [True, False])
def test_local_model_that_is_ready_begins_while_a_second_try_waits(is_stream: bool) -> None:
    script = hedging(ACME, LOCAL, is_stream=is_stream)
    start = learnt(repeated(script, is_local_ready=True), 8.0 if is_stream else None, is_suspect=True)
    assert (start.candidate, start.begin_at, start.hedge_at) == (ACME, script.now + 0.3, script.now)


def test_local_model_that_is_not_ready_does_not_begin_before_the_second_try() -> None:
    start = repeated(hedging(ACME, LOCAL), is_local_ready=False)
    assert start.hedge_at > start.begin_at


def test_local_model_does_not_get_ahead_of_a_second_cloud() -> None:
    start = repeated(hedging(ACME, ZEUS, LOCAL), is_local_ready=True)
    assert start.hedge_at > start.begin_at


def test_second_failure_costs_no_more_than_the_pause() -> None:
    script = hedging(ACME, LOCAL)
    repeated(script, is_local_ready=True)
    script.action = script.machine.overdue(script.now)
    assert script.start.is_hedge
    assert script.hedge_shows().wait(0.3).ends(Kind.SERVER_ERROR, 503).action == Promote()


def test_second_try_that_answers_is_preferred() -> None:
    script = hedging(ACME, LOCAL)
    repeated(script, is_local_ready=True)
    script.machine.overdue(script.now)
    assert script.hedge_shows().wait(0.3).content().ends(Kind.OK).action == Finish()


# ---- what was learnt of an upstream


def test_learnt_limit_takes_the_place_of_the_fixed_one() -> None:
    start = learnt(hedging(ACME, LOCAL).start, 6.0, is_suspect=False)
    assert (start.limit_at - 500, start.hedge_at - 500, start.late_kind) == (6.0, 1.5, Kind.FIRST_CONTENT_TIMEOUT)


def test_learnt_limit_is_no_longer_than_the_deadline() -> None:
    start = learnt(hedging(ACME, LOCAL).start, 1000.0, is_suspect=False)
    assert (start.limit_at - 500, start.late_kind) == (90, Kind.CLIENT_DEADLINE)


@pytest.mark.parametrize(("is_stream", "yield_at"), [(True, math.inf), (False, 530)])
def test_suspect_upstream_gets_its_understudy_at_once(is_stream: bool, yield_at: float) -> None:
    start = hedging(ACME, LOCAL, is_stream=is_stream).start
    now = learnt(start, None, is_suspect=True)
    assert (now.hedge_at, now.limit_at, now.yield_at) == (500, start.limit_at, yield_at)


@pytest.mark.parametrize(("usual_seconds", "hedge_after"), [(None, 67.5), (1.0, 5), (10.0, 20), (600.0, 67.5)])
def test_unstreamed_answer_is_late_after_twice_the_usual_time(usual_seconds: float | None, hedge_after: float) -> None:
    start = hedging(ACME, LOCAL, is_stream=False).start
    again = reconsidered(start, usual_seconds, 505.0, is_suspect=False)
    assert (again.hedge_at - 500, again.yield_at - 505) == (hedge_after, LOOK_SECONDS)


@pytest.mark.parametrize(("usual_seconds", "yield_after"), [(None, 30), (1.0, 5), (5.0, 20), (600.0, 30)])
def test_suspect_upstream_has_four_times_the_usual_time(usual_seconds: float | None, yield_after: float) -> None:
    start = hedging(ACME, LOCAL, is_stream=False).start
    again = reconsidered(start, usual_seconds, 505.0, is_suspect=True)
    assert (again.hedge_at - 500, again.yield_at - 500) == (0, yield_after)


def test_understudy_of_a_second_try_is_not_put_off() -> None:
    start = repeated(hedging(ACME, LOCAL, is_stream=False), is_local_ready=True)
    assert reconsidered(start, None, 500.0, is_suspect=True).hedge_at == 500.0


def test_nobody_stands_in_where_nobody_can() -> None:
    assert learnt(hedging(ACME).start, 6.0, is_suspect=True).hedge_at == math.inf


@pytest.mark.parametrize("is_stream", [True, False])
def test_opening_says_what_a_machine_of_that_moment_would(is_stream: bool) -> None:
    opening = Opening(
        [ACME, ZEUS, LOCAL],
        TIMEOUTS,
        is_stream=is_stream,
        deadline_seconds=120.0,
        deadline_kind=Kind.DEADLINE,
        local_reserve_seconds=30.0,
        hedges=True,
    )
    assert opening.begin(512.0) == opening.make(512.0).begin(512.0)
