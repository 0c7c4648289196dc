"""Whatever happens to a sequence on its way, its answer is the one that it would get alone."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from models.engine.crew import Crew
from models.engine.event import Ended, Event, Failed, Finish, Piece, hand_out
from models.engine.loop import Engine
from models.engine.pace import Pace
from models.engine.params import SamplingParams
from models.engine.scheduler import Rules, Scheduler
from models.engine.step import Layout
from tests.unit.models.simulated import SimulatedBackend, answer

_CONTEXT = 96
_HEADS = [[7] * 20, [7] * 20 + [9] * 20, [3, 1] * 15, []]
_STEP = 32

prompts = st.builds(
    lambda head, tail: [*head, *tail],
    st.sampled_from(_HEADS),
    st.lists(st.integers(1, 3), min_size=1, max_size=30),
)
layouts = st.one_of(
    st.builds(lambda slots: Layout(slots, None), st.integers(4, 8)),
    st.builds(Layout, st.integers(4, 8), st.integers(_CONTEXT + _STEP, 400)),
    st.builds(lambda slots: Layout(slots, None, can_cut=False), st.integers(4, 8)),
)


@dataclass
class Asked:
    prompt: list[int]
    limit: int
    number: int
    events: list[Event] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Piece))

    @property
    def expected(self) -> str:
        return bytes(64 + token for token in answer(self.prompt, self.limit)).decode()


@given(
    layout=layouts,
    is_deterministic=st.booleans(),
    shares=st.booleans(),
    fatal_steps=st.sets(st.integers(1, 40), max_size=1),
    script=st.lists(
        st.one_of(
            st.tuples(st.just("submit"), prompts, st.integers(1, 40), st.sampled_from("ab")),
            st.tuples(st.just("prime"), prompts, st.sampled_from("ab")),
            st.tuples(st.just("cancel"), st.integers(0, 10)),
            st.tuples(st.just("turn"), st.integers(1, 6)),
        ),
        max_size=24,
    ),
)
def test_answers_do_not_depend_on_the_company(
    layout: Layout, is_deterministic: bool, shares: bool, fatal_steps: set[int], script: list[tuple[object, ...]]
) -> None:
    backend = SimulatedBackend(layout, batch_tokens=_STEP, fatal_steps=fatal_steps)
    now = 0.0
    rules = Rules(4, 99, shares_between_clients=shares, is_deterministic=is_deterministic)
    scheduler = Scheduler(rules, layout, Pace(_STEP))
    engine = Engine(backend, scheduler, Crew(2), lambda: now, hand_out, lambda: None)
    asked: list[Asked] = []
    cancelled: set[int] = set()
    for act, *details in script:
        if act == "submit":
            prompt, limit, client = details
            one = Asked(prompt, min(limit, _CONTEXT - len(prompt)), -1)
            params = SamplingParams(max_tokens=one.limit, seed=0)
            one.number = engine.submit(list(one.prompt), params, one.events.append, client=client)
            asked.append(one)
        elif act == "prime":
            prompt, client = details
            engine.prime(list(prompt), client=client)
        elif act == "cancel" and asked:
            one = asked[details[0] % len(asked)]
            engine.cancel(one.number)
            cancelled.add(one.number)
        elif act == "turn" and asked:
            run(engine, asked, details[0])
    run(engine, asked, 10_000)
    for _ in range(1_000):
        if scheduler.is_idle:
            break
        assert engine.turn()
    for one in asked:
        (end,) = [event for event in one.events if isinstance(event, Ended | Failed)]
        assert isinstance(end, Ended)
        if end.finish is Finish.CANCELLED:
            assert one.number in cancelled
            assert one.expected.startswith(one.text)
        else:
            assert one.text == one.expected
    assert backend.samplers == 0
    assert scheduler.is_idle


def run(engine: Engine[None], asked: list[Asked], turns: int) -> None:
    """Turn it while there is something to do: an idle engine would wait for a command."""
    for _ in range(turns):
        if all(any(isinstance(event, Ended | Failed) for event in one.events) for one in asked):
            return
        assert engine.turn()
    assert turns < 10_000, "stuck"
