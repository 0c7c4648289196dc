"""The breaker against a naive one that keeps everything in lists and decides from scratch each time."""

from dataclasses import dataclass, field

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from proxy.core.breaker import Breaker, BreakerSettings, Permit, State, Transition
from proxy.core.outcome import Kind, Outcome, Weight

SETTINGS = BreakerSettings(
    consecutive=3,
    ratio=0.5,
    minimum=5,
    window_seconds=10,
    cooldown_seconds=2,
    max_cooldown_seconds=15,
    successes=2,
    ramp_seconds=6,
)
TABLE = {
    (State.CLOSED, State.OPEN),
    (State.OPEN, State.HALF_OPEN),
    (State.HALF_OPEN, State.OPEN),
    (State.HALF_OPEN, State.RAMPING),
    (State.RAMPING, State.OPEN),
    (State.RAMPING, State.CLOSED),
}


@dataclass(eq=False)
class Ticket:
    """A permit as the naive model sees it; `real` is the breaker's."""

    epoch: int
    real: Permit
    shows_content: bool = False


@dataclass
class Naive:
    """The rules in the words of the specification."""

    is_probed: bool
    epochs: list[tuple[State, float]]
    results: list[tuple[int, float, Weight]] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    out: list[Ticket] = field(default_factory=list)
    nothing_learnt: list[tuple[int, float]] = field(default_factory=list)

    @property
    def state(self) -> State:
        return self.epochs[-1][0]

    @property
    def epoch(self) -> int:
        """The end of a ramp begins no new one."""
        changes = zip(self.epochs, self.epochs[1:], strict=False)
        return sum(before is not State.RAMPING or after is not State.CLOSED for (before, _), (after, _) in changes)

    def end_ramp(self, now: float, *, is_prober: bool) -> None:
        state, since = self.epochs[-1]
        is_paused = any(now < until for until in self.pauses)
        if state is State.RAMPING and now >= since + 6 and (is_prober or not is_paused):
            self.epochs.append((State.CLOSED, now))

    def permits(self, now: float, *, is_prober: bool, place: float) -> bool:
        if is_prober and self.state in (State.CLOSED, State.RAMPING):
            return False
        if not is_prober and self.is_probed and self.state is State.OPEN:
            return False
        if is_prober and any(epoch == self.epoch and now < at + 2 for epoch, at in self.nothing_learnt):
            return False
        if any(now < until for until in self.pauses):
            return False
        if self.state is State.OPEN:
            return now >= self.epochs[-1][1] + self.cooldown()
        if self.state is State.HALF_OPEN:
            return all(ticket.shows_content for ticket in self.out if ticket.epoch == self.epoch)
        return self.state is State.CLOSED or place < self.share(now - self.epochs[-1][1])

    @staticmethod
    def share(seconds: float) -> float:
        return 0.05 if seconds < 2 else 0.25 if seconds < 4 else 0.5

    def grant(self, permit: Permit, now: float) -> Ticket:
        if self.state is State.OPEN:
            self.epochs.append((State.HALF_OPEN, now))
        ticket = Ticket(self.epoch, permit)
        self.out.append(ticket)
        return ticket

    def report(self, ticket: Ticket, outcome: Outcome, now: float) -> None:
        self.out.remove(ticket)
        if ticket.epoch != self.epoch:
            return
        if outcome.weight is Weight.NOTHING:
            self.nothing_learnt.append((ticket.epoch, now))
            return
        if outcome.retry_after_seconds is not None:
            # A later answer corrects an earlier one.
            self.pauses = [now + min(outcome.retry_after_seconds, 60)]
        self.results.append((self.epoch, now, outcome.weight))
        verdict = self.verdict(outcome.weight, now)
        if verdict is not self.state:
            self.epochs.append((verdict, now))

    def verdict(self, weight: Weight, now: float) -> State:
        weights = [seen for epoch, _, seen in self.results if epoch == self.epoch]
        if self.state is State.HALF_OPEN:
            if weight is not Weight.SUCCESS:
                return State.OPEN
            return State.RAMPING if len(weights) == 2 else State.HALF_OPEN
        is_ill = weight is not Weight.SUCCESS and (self.streak(weights) >= 3 or self.is_ratio_bad(now))
        relapses = self.state is State.RAMPING and weight is Weight.HARD and self.ratio(now) < 0.95
        return State.OPEN if is_ill or relapses else self.state

    @staticmethod
    def streak(weights: list[Weight]) -> int:
        after_success = weights[len(weights) - [*reversed(weights), Weight.SUCCESS].index(Weight.SUCCESS) :]
        return after_success.count(Weight.HARD)

    def counted(self, now: float) -> list[Weight]:
        return [weight for epoch, at, weight in self.results if epoch == self.epoch and int(now) - int(at) < 10]

    def ratio(self, now: float) -> float:
        return self.counted(now).count(Weight.SUCCESS) / len(self.counted(now))

    def is_ratio_bad(self, now: float) -> bool:
        return len(self.counted(now)) >= 5 and self.ratio(now) < 0.5

    def cooldown(self) -> float:
        """Of the latest trip, from the history of all."""
        cooldown = 2.0
        for (before, since), (after, at) in zip(self.epochs, self.epochs[1:], strict=False):
            if after is State.OPEN:
                is_first = (before, since) == self.epochs[0]
                is_forgiven = before is State.CLOSED and (is_first or at - since >= max(10, cooldown))
                cooldown = 2.0 if is_forgiven else min(cooldown * 2, 15.0)
        return cooldown


class Both:
    """The breaker and the naive model, under the same facts."""

    def __init__(self, *, is_probed: bool) -> None:
        self.now = 0.0
        self.breaker = Breaker(SETTINGS, is_probed=is_probed, now=self.now)
        self.naive = Naive(is_probed, [(State.CLOSED, self.now)])
        self.transitions: list[Transition] = []

    def ask(self, *, is_prober: bool, place: float) -> None:
        self.naive.end_ramp(self.now, is_prober=is_prober)
        expected = self.naive.permits(self.now, is_prober=is_prober, place=place)
        if is_prober:
            answer, transition = self.breaker.acquire_probe(self.now)
        else:
            answer, transition = self.breaker.acquire(self.now, lambda: place)
        self.note(transition)
        assert isinstance(answer, Permit) is expected
        if isinstance(answer, Permit):
            self.naive.grant(answer, self.now)
        else:
            assert answer.retry_at >= self.now

    def first_content(self, ticket: Ticket) -> None:
        ticket.shows_content = True
        self.breaker.first_content(ticket.real, self.now)

    def report(self, ticket: Ticket, outcome: Outcome) -> None:
        self.note(self.breaker.report(ticket.real, outcome, self.now))
        self.naive.report(ticket, outcome, self.now)

    def note(self, transition: Transition | None) -> None:
        if transition:
            self.transitions.append(transition)

    def check(self) -> None:
        assert self.breaker.state is self.naive.state
        waiting = [ticket for ticket in self.naive.out if ticket.epoch == self.naive.epoch and not ticket.shows_content]
        assert self.naive.state is not State.HALF_OPEN or len(waiting) <= 1

    def perform(self, word: str, number: int, outcome: Outcome) -> None:
        out = self.naive.out
        match word:
            case "wait":
                self.now += number * 0.25
            case "ask" | "probe":
                self.ask(is_prober=word == "probe", place=number / 32)
            case "content" if out:
                self.first_content(out[number % len(out)])
            case "end" if out:
                self.report(out[number % len(out)], outcome)


RESULTS = (
    *(Outcome(Kind.OK),) * 12,
    *(Outcome(Kind.RESET), Outcome(Kind.SERVER_ERROR)) * 5,
    *(Outcome(Kind.RATE_LIMITED), Outcome(Kind.CLIENT_GONE), Outcome(Kind.CALLER_ERROR)) * 2,
    *(Outcome(Kind.RATE_LIMITED, retry_after_seconds=seconds) for seconds in (0, 1, 4)),
    Outcome(Kind.SERVER_ERROR, retry_after_seconds=2),
)
"""One for each number below 32."""

Step = tuple[str, int, Outcome]


def traces(*words: str) -> st.SearchStrategy[list[Step]]:
    """One byte is one step: a word, and a number below 32 that says how long, which permit, or which outcome."""
    steps = [(words[byte % len(words)], byte >> 3, RESULTS[byte >> 3]) for byte in range(256)]
    return st.binary(min_size=50, max_size=200).map(lambda trace: [steps[byte] for byte in trace])


def run(trace: list[Step], *, is_probed: bool) -> Both:
    both = Both(is_probed=is_probed)
    for word, number, outcome in trace:
        both.perform(word, number, outcome)
        both.check()
    return both


@given(traces("wait", "ask", "probe", "end", "ask", "end", "ask", "end"), st.booleans())
def test_breaker_equals_the_naive_one(trace: list[Step], is_probed: bool) -> None:
    run(trace, is_probed=is_probed)


@settings(phases=[Phase.generate], database=None, derandomize=True)
@given(traces("wait", "ask", "probe", "content", "ask", "end", "ask", "end"), st.booleans())
def test_breaker_equals_the_naive_one_with_streams(trace: list[Step], is_probed: bool) -> None:
    run(trace, is_probed=is_probed)


@given(traces("wait", "ask", "probe", "content", "ask", "end", "ask", "end"), st.booleans())
def test_state_changes_only_by_the_table(trace: list[Step], is_probed: bool) -> None:
    breaker, now = Breaker(SETTINGS, is_probed=is_probed, now=0.0), 0.0
    permits: list[Permit] = []
    changes: list[Transition | None] = []
    for word, number, outcome in trace:
        before = breaker.state
        match word:
            case "wait":
                now += number * 0.25
            case "ask" | "probe":
                answer, change = breaker.acquire(now) if word == "ask" else breaker.acquire_probe(now)
                permits += [answer] if isinstance(answer, Permit) else []
                changes.append(change)
            case "content" if permits:
                breaker.first_content(permits[number % len(permits)], now)
            case "end" if permits:
                changes.append(breaker.report(permits.pop(number % len(permits)), outcome, now))
        last = changes[-1] if changes and word in ("ask", "probe", "end") else None
        assert breaker.state is (last.after if last else before)
    assert {(change.before, change.after) for change in changes if change} <= TABLE
