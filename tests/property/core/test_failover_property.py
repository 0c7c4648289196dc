"""Whatever the candidates do, a request ends once, in time, and with an honest account."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.action import Action, BreakOff, Commit, Finish, GiveUp, Start, Timeouts
from proxy.core.breaker import Refusal
from proxy.core.candidates import Candidate
from proxy.core.failover import Failover
from proxy.core.outcome import Kind, Outcome

DEADLINE_AT = 60.0
FAILURES = [kind for kind in Kind if not Outcome(kind).is_answer]


@dataclass(frozen=True)
class Fact:
    """What comes of one start: refused, or ended after some time, with or without content before."""

    is_refused: bool
    shows_content: bool
    outcome: Outcome
    seconds: float


FACTS = [
    Fact(is_refused, shows_content, Outcome(kind, retry_after_seconds=retry_after_seconds), seconds)
    for kind in (*[Kind.OK, Kind.CALLER_ERROR, Kind.CUT, Kind.RESET] * 3, *FAILURES)
    for is_refused in (False, True)
    for shows_content in (False, True)
    for retry_after_seconds in (None, 0.0, 20.0, 1e6)
    for seconds in (0.0, 0.5, 9.0, 31.0, 70.0)
]


@dataclass
class Trace:
    """One request driven to its end."""

    candidates: list[Candidate]
    is_stream: bool
    reserve_seconds: float
    machine: Failover
    begun: list[tuple[Start, float]] = field(default_factory=list)
    exchanges: list[Start] = field(default_factory=list)
    refused: list[Start] = field(default_factory=list)
    last: Fact | None = None
    end: Action | None = None
    is_committed: bool = False
    now: float = 0.0

    def run(self, facts: list[Fact]) -> "Trace":
        """Facts are used up one for each start; past the last one every attempt fails."""
        waiting = iter(facts)
        action = self.machine.begin(self.now)
        while isinstance(action, Start):
            assert len(self.begun) < 20, "no end in sight"
            self.begun.append((action, self.now))
            self.last = next(waiting, Fact(False, False, Outcome(Kind.RESET), 0.0))
            action = self.perform(action, self.last)
        self.end = action
        return self

    def perform(self, start: Start, fact: Fact) -> Action:
        if fact.is_refused:
            self.refused.append(start)
            return self.machine.refused(Refusal(self.now + fact.seconds), self.now)
        self.exchanges.append(start)
        self.now += fact.seconds
        if fact.shows_content and self.is_stream:
            self.is_committed = True
            assert self.machine.content() == Commit()
        return self.machine.ended(fact.outcome, self.now)


SETUPS = [
    (
        [
            Candidate(f"u{number}", "m", is_local=number == local, prefill="hotspare" if number in resumers else None)
            for number in range(count)
        ],
        is_stream,
        reserve_seconds,
    )
    for count in range(5)
    for local in (None, *range(count))
    for resumers in ((), (local,), range(count))
    for is_stream in (False, True)
    for reserve_seconds in (0.0, 10.0, 30.0)
]


def traced(setup: tuple[list[Candidate], bool, float], facts: list[Fact]) -> Trace:
    candidates, is_stream, reserve_seconds = setup
    machine = Failover(
        candidates,
        {candidate.upstream: Timeouts() for candidate in candidates},
        is_stream=is_stream,
        deadline_at=DEADLINE_AT,
        deadline_kind=Kind.DEADLINE,
        local_reserve_seconds=reserve_seconds,
    )
    return Trace(candidates, is_stream, reserve_seconds, machine).run(facts)


TRACES = st.builds(traced, st.sampled_from(SETUPS), st.lists(st.sampled_from(FACTS), max_size=8))


@given(TRACES)
def test_every_trace_ends_in_exactly_one_terminal_action(trace: Trace) -> None:
    assert isinstance(trace.end, Finish | BreakOff | GiveUp)
    with pytest.raises(RuntimeError):
        trace.machine.ended(Outcome(Kind.OK), trace.now)


@given(TRACES)
def test_end_follows_from_the_last_fact(trace: Trace) -> None:
    outcome = trace.last.outcome if trace.last else None
    assert not isinstance(trace.end, Finish) or (outcome is not None and outcome.is_answer)
    is_refused = trace.last is not None and trace.last.is_refused
    assert not isinstance(trace.end, BreakOff) or is_refused or trace.end.outcome is outcome
    assert trace.is_committed or not isinstance(trace.end, BreakOff)
    assert not trace.is_committed or not isinstance(trace.end, GiveUp)


@given(TRACES)
def test_only_who_can_go_on_is_started_after_the_client_saw_something(trace: Trace) -> None:
    resumed = [start for start, _ in trace.begun if start.is_resuming]
    assert all(start.candidate.prefill for start in resumed)
    assert [start for start, _ in trace.begun][len(trace.begun) - len(resumed) :] == resumed, "and nobody else then"
    assert trace.is_committed or not resumed


@given(TRACES)
def test_nobody_is_started_after_his_time(trace: Trace) -> None:
    assert all(now < start.limit_at for start, now in trace.begun)
    assert all(start.limit_at <= DEADLINE_AT for start, _ in trace.begun if not start.is_resuming)
    assert trace.is_stream or all(start.late_kind is Kind.DEADLINE for start, _ in trace.begun)


@given(TRACES)
def test_there_is_one_attempt_for_each_one_repeat_and_one_panic_at_most(trace: Trace) -> None:
    forced = [start for start in trace.exchanges if start.is_forced]
    unforced = [start.candidate for start in trace.exchanges if not start.is_forced]
    clouds = [candidate for candidate in unforced if not candidate.is_local]
    assert len(forced) <= 1
    assert len({start.candidate for start in trace.refused}) * 2 >= len(trace.refused), "and forced once each"
    assert len(clouds) == len(set(clouds))
    assert len(unforced) <= len(set(unforced)) + 1
    assert trace.machine.attempts == len(trace.exchanges)
    assert [start.number for start in trace.exchanges] == list(range(1, len(trace.exchanges) + 1))


@given(TRACES)
def test_candidates_are_started_in_order(trace: Trace) -> None:
    for_the_first_time = dict.fromkeys(start.candidate for start, _ in trace.begun)
    assert list(for_the_first_time) == [each for each in trace.candidates if each in for_the_first_time]


@given(TRACES)
def test_reserve_is_kept_while_the_local_model_waits(trace: Trace) -> None:
    for start, now in trace.begun:
        if start.is_resuming:
            continue
        after = trace.candidates[trace.candidates.index(start.candidate) + 1 :]
        keeps_reserve = not start.is_forced and any(candidate.is_local for candidate in after)
        ends_at = DEADLINE_AT - (trace.reserve_seconds if keeps_reserve else 0.0)
        assert start.limit_at == (min(ends_at, now + Timeouts().first_content_seconds) if trace.is_stream else ends_at)


@given(TRACES)
def test_giving_up_accounts_for_everybody(trace: Trace) -> None:
    if isinstance(trace.end, GiveUp):
        assert {tried.upstream for tried in trace.end.tried} == {each.upstream for each in trace.candidates}
        assert 1 <= trace.end.retry_after_seconds <= 60


@given(TRACES)
def test_answer_comes_with_a_reason_for_every_start_before_it(trace: Trace) -> None:
    tried = iter([each.upstream for each in trace.machine.tried])
    passed_over = [
        start.candidate.upstream
        for start, _ in trace.begun[:-1]
        if not (start.is_forced and start in trace.refused)  # it was named when it was refused first
    ]
    assert all(upstream in tried for upstream in passed_over), "in the same order"
