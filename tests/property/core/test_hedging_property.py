"""However an upstream and its understudy race, the client gets one of them, and nobody is asked twice."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.core.action import Action, BreakOff, Commit, Finish, GiveUp, Promote, Start, Timeouts, Wait
from proxy.core.candidates import Candidate
from proxy.core.failover import Failover
from proxy.core.outcome import Kind, Outcome

CLOUDS = [Candidate(f"u{number}", "m", is_local=False) for number in range(3)]
LOCAL = Candidate("local", "m", is_local=True, prefill="hotspare")
FACTS = ("overdue", "yield", "shows", "hedge fails", "content", "ok", "fails")
FAILURES = [Kind.RESET, Kind.SERVER_ERROR, Kind.FIRST_CONTENT_TIMEOUT, Kind.CUT]


class Race:
    """Facts as they can happen; what cannot is left out."""

    def __init__(self, clouds: int, *, is_stream: bool) -> None:
        candidates = [*CLOUDS[:clouds], LOCAL]
        timeouts = {candidate.upstream: Timeouts() for candidate in candidates}
        self.is_stream = is_stream
        self.machine = Failover(candidates, timeouts, is_stream, 1e6, Kind.DEADLINE, 30.0, hedges=True)
        self.now = 0.0
        self.starts: list[Start] = []
        self.running: Start | None = None
        self.hedge: Start | None = None
        self.hedge_shows = self.is_committed = False
        self.end: Action | None = None
        self.take(self.machine.begin(self.now))

    def take(self, action: Action) -> None:
        match action:
            case Start(is_hedge=True):
                assert self.hedge is None
                self.hedge = action
                self.starts.append(action)
            case Start():
                assert self.running is None
                self.running = action
                self.starts.append(action)
            case Promote():
                assert self.hedge is not None
                self.running, self.hedge = self.hedge, None
                if self.hedge_shows and self.is_stream:
                    self.commit()
            case Commit():
                self.commit()
            case Finish() | BreakOff() | GiveUp():
                self.end, self.running = action, None

    def commit(self) -> None:
        self.is_committed = True
        self.hedge = None
        self.machine.content()

    def happens(self, fact: str, kind: Kind) -> None:
        self.now += 1.0
        is_racing = self.running is not None and not self.is_committed
        match fact:
            case "overdue" if is_racing and self.running and self.running.hedge_at < 1e9:
                self.take(self.machine.overdue(self.now))
            case "yield" if is_racing and not self.is_stream:
                self.take(self.machine.must_yield())
            case "shows" if self.hedge and not self.hedge_shows and not self.is_committed:
                self.hedge_shows = True
                self.take(self.machine.hedge_shows())
            case "hedge fails" if self.hedge and not self.hedge_shows:
                self.hedge = None
                assert self.machine.hedge_failed(kind) == Wait()
            case "content" if is_racing and self.is_stream:
                self.take(self.machine.content())
            case "ok" if self.running and (self.is_committed or not self.is_stream):
                self.running = None
                self.take(self.machine.ended(Outcome(Kind.OK), self.now))
            case "fails" if self.running:
                self.running = None
                self.take(self.machine.ended(Outcome(kind), self.now))


@given(st.integers(1, 3), st.booleans(), st.lists(st.tuples(st.sampled_from(FACTS), st.sampled_from(FAILURES))))
def test_race_is_fair(clouds: int, is_stream: bool, facts: list[tuple[str, Kind]]) -> None:
    race = Race(clouds, is_stream=is_stream)
    for fact, kind in [*facts, *[("fails", Kind.RESET)] * 12]:
        if race.end is None:
            race.happens(fact, kind)
    assert isinstance(race.end, Finish | BreakOff | GiveUp)
    assert isinstance(race.end, GiveUp) is not (race.is_committed or isinstance(race.end, Finish))
    asked = [start.candidate for start in race.starts if not start.is_resuming]
    assert len([each for each in asked if not each.is_local]) == len({each for each in asked if not each.is_local})
    assert sum(start.is_hedge for start in race.starts) <= 1
    assert [start.number for start in race.starts] == list(range(1, len(race.starts) + 1))
    assert sum(not start.is_resuming and start.candidate.is_local for start in race.starts) <= 2, "once, and a repeat"
