"""Workers that tell each other what they see: each has a pool of its own, and the fleet's notices stand between."""

from proxy.core.breaker import BreakerSettings, Permit, Refusal, State
from proxy.core.health import Health, HealthPolicy, Key
from proxy.core.outcome import Kind, Outcome
from proxy.telemetry.events import AttemptEnded, BreakerChanged, Event
from proxy.upstreams.pool import Pool
from proxy.upstreams.upstream import Identity
from proxy.workers.messages import News
from proxy.workers.notices import Notices
from proxy.workers.sharing import Sharing
from tests.unit.stand_ins import FakeClock, FakeUpstream

KEY = Key("acme", "gpt-5")
COOLDOWN = BreakerSettings().cooldown_seconds


class Colleague:
    """One worker: its pool, and what it published."""

    def __init__(self, crew: "Crew") -> None:
        self.crew = crew
        self.events: list[Event] = []
        self.heard: list[News] = []
        upstream = FakeUpstream(Identity("acme", "https://acme.test"))
        self.pool = Pool(
            {"acme": upstream}, Health({"acme": HealthPolicy(BreakerSettings(), True)}), crew.clock, self._emit
        )
        self.sharing = Sharing(self.pool, lambda news: crew.pass_on(self, news))

    def _emit(self, event: Event) -> None:
        self.events.append(event)
        self.sharing.tell(event)

    def hear(self, news: News) -> None:
        self.heard.append(news)
        self.sharing.hear(news)

    def ask(self) -> Permit | Refusal:
        return self.pool.acquire(KEY, "chat/completions")

    def attempt(self, kind: Kind) -> None:
        """A request that ends so, if it is let through."""
        permit = self.ask()
        assert isinstance(permit, Permit)
        self.end(permit, kind)

    def end(self, permit: Permit, kind: Kind) -> None:
        outcome = Outcome(kind)
        self.pool.report(KEY, permit, outcome)
        self._emit(AttemptEnded("req-1", KEY.upstream, 1, outcome, 0.1, None, None, KEY.model))

    def probe(self) -> Permit | Refusal:
        return self.pool.acquire_probe(KEY)

    @property
    def state(self) -> State:
        (state,) = self.pool.states()["acme"]
        return state

    @property
    def changes(self) -> list[BreakerChanged]:
        return [event for event in self.events if isinstance(event, BreakerChanged)]


class Crew:
    """Two workers and the fleet between them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.notices = Notices()
        self.passed: list[News] = []
        self.workers = [Colleague(self), Colleague(self)]

    def pass_on(self, sender: Colleague, news: News) -> None:
        if passed := self.notices.take(news, self.clock.now):
            self.passed.append(passed)
            for worker in self.workers:
                if worker is not sender:
                    worker.hear(passed)


def test_breaker_that_trips_in_one_worker_refuses_in_the_other() -> None:
    one, other = (crew := Crew()).workers
    for _ in range(3):
        one.attempt(Kind.RESET)
    assert isinstance(other.ask(), Refusal)
    assert crew.passed[-1].upstream == "acme"


def test_three_failures_in_all_trip() -> None:
    one, other = Crew().workers
    one.attempt(Kind.RESET)
    other.attempt(Kind.RESET)
    one.attempt(Kind.RESET)
    assert (one.state, other.state) == (State.OPEN, State.OPEN)


def test_success_in_any_worker_ends_the_streak_of_all() -> None:
    one, other = Crew().workers
    one.attempt(Kind.RESET)
    one.attempt(Kind.RESET)
    other.attempt(Kind.OK)
    one.attempt(Kind.RESET)
    assert (one.state, other.state) == (State.CLOSED, State.CLOSED)


def test_failure_elsewhere_trips_nothing_by_itself() -> None:
    one, other = Crew().workers
    permits = [worker.ask() for worker in (one, one, other, other)]
    for worker, permit in zip((one, one, other, other), permits, strict=True):
        assert isinstance(permit, Permit)
        worker.end(permit, Kind.RESET)
    assert [len(worker.changes) for worker in (one, other)] == [0, 1]


def test_healthy_upstream_costs_no_message() -> None:
    crew = Crew()
    for worker in crew.workers * 10:
        worker.attempt(Kind.OK)
    assert crew.passed == []


def test_one_recovery_is_told_after_a_failure() -> None:
    crew = Crew()
    one, other = crew.workers
    one.attempt(Kind.RESET)
    for _ in range(5):
        other.attempt(Kind.OK)
        one.attempt(Kind.OK)
    assert [type(news).__name__ for news in crew.passed] == ["Failed", "Recovered"]


def test_what_was_heard_becomes_no_event_and_no_echo() -> None:
    crew = Crew()
    one, other = crew.workers
    for _ in range(3):
        one.attempt(Kind.RESET)
    assert other.events == []
    assert one.heard == []


def test_worker_that_saw_it_probes_first() -> None:
    crew = Crew()
    one, other = crew.workers
    for _ in range(3):
        one.attempt(Kind.RESET)
    crew.clock.now += COOLDOWN
    assert isinstance(other.probe(), Refusal)
    assert isinstance(one.probe(), Permit)


def test_recovery_that_one_finds_brings_clients_back_in_all() -> None:
    crew = Crew()
    one, other = crew.workers
    for _ in range(3):
        one.attempt(Kind.RESET)
    crew.clock.now += COOLDOWN
    for _ in range(2):
        permit = one.probe()
        assert isinstance(permit, Permit)
        one.pool.report(KEY, permit, Outcome(Kind.OK))
    assert (one.state, other.state) == (State.RAMPING, State.RAMPING)
    assert isinstance(other.ask(), Permit)


def test_ramp_ends_in_each_worker_by_itself() -> None:
    crew = Crew()
    one, other = crew.workers
    for _ in range(3):
        one.attempt(Kind.RESET)
    one.pool.adopt_recovery(KEY)
    other.pool.adopt_recovery(KEY)
    told = len(crew.passed)
    crew.clock.now += BreakerSettings().ramp_seconds
    assert isinstance(one.probe(), Refusal)
    assert (one.state, other.state) == (State.CLOSED, State.RAMPING)
    assert len(crew.passed) == told


def test_other_worker_probes_if_the_first_one_does_not() -> None:
    crew = Crew()
    one, other = crew.workers
    for _ in range(3):
        one.attempt(Kind.RESET)
    crew.clock.now += COOLDOWN + 1.0
    assert isinstance(other.probe(), Permit)


def test_local_model_without_a_breaker_is_nobodys_business() -> None:
    crew = Crew()
    crew.workers[0].sharing.tell(AttemptEnded("req-1", "local", 1, Outcome(Kind.RESET), 0.1, None, None, "smollm2"))
    assert crew.passed == []
