from collections import Counter
from typing import TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from models.engine.pace import Pace
from models.engine.params import SamplingParams
from models.engine.scheduler import Rules, Scheduler
from models.engine.sequence import Sequence
from models.engine.step import Layout

Action: TypeAlias = tuple[str, str | int | None, int | None]

ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.sampled_from("abc"), st.one_of(st.none(), st.integers(0, 40))),
        st.tuples(st.just("remove"), st.integers(0, 30), st.none()),
        st.tuples(st.just("turn"), st.none(), st.none()),
    ),
    max_size=60,
)


class Play:
    """Performs actions on a scheduler and counts what came of them."""

    def __init__(self) -> None:
        self.scheduler = Scheduler(Rules(2, 5), Layout(2), Pace(4))
        self.submitted = 0
        self.ends = Counter[int]()
        self.step_rows: list[int] = []

    def run(self, actions: list[Action]) -> "Play":
        for now, (kind, what, deadline) in enumerate(actions):
            if kind == "submit":
                self.submit(str(what), deadline)
            elif kind == "remove":
                self.remove(int(what or 0))
            else:
                self.turn(float(now))
        while not self.scheduler.is_idle:
            self.turn(0.0)
        return self

    def submit(self, client: str, deadline: int | None) -> None:
        params = SamplingParams(max_tokens=1 + self.submitted % 3, seed=0)
        prompt = [1] * (1 + self.submitted % 9)
        refused = self.scheduler.submit(Sequence(self.submitted, client, prompt, params, lambda event: None, deadline))
        self.submitted += 1
        self.ends.update([refused.id] if refused else [])

    def remove(self, number: int) -> None:
        gone = self.scheduler.remove(number)
        self.ends.update([gone.id] if gone else [])

    def turn(self, now: float) -> None:
        self.ends.update(late.id for late in self.scheduler.expire(now))
        self.scheduler.admit()
        chunks = self.scheduler.plan()
        self.step_rows.append(sum(len(chunk.tokens) for chunk in chunks))
        for sequence in self.scheduler.read(chunks):
            sequence.tokens.append(1)
            if sequence.is_full:
                self.remove(sequence.id)


@given(ACTIONS)
def test_every_submitted_sequence_gets_exactly_one_end(actions: list[Action]) -> None:
    play = Play().run(actions)
    assert play.ends == Counter(range(play.submitted))


@given(ACTIONS)
def test_no_step_exceeds_the_token_budget(actions: list[Action]) -> None:
    assert max(Play().run(actions).step_rows, default=0) <= 4


@given(st.integers(1, 30), st.integers(1, 4))
def test_nobody_starves_behind_a_flood(flood: int, quiet: int) -> None:
    scheduler = Scheduler(Rules(1, 99), Layout(1), Pace(4))
    clients = ["flood"] * flood + [f"quiet{number}" for number in range(quiet)]
    for number, client in enumerate(clients):
        params = SamplingParams(max_tokens=1, seed=0)
        scheduler.submit(Sequence(number, client, [1], params, lambda event: None))
    served = []
    while running := scheduler.admit():
        served.append(running[0].client)
        scheduler.remove(running[0].id)
    assert set(clients) == set(served[: quiet + 1])
