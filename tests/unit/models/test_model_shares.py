"""Who gets how much of a step, and of the machine."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from models.engine.pace import Pace
from models.engine.params import SamplingParams
from models.engine.scheduler import Rules, Scheduler
from models.engine.sequence import Sequence
from models.engine.step import Chunk, Layout


def sequence(number: int, prompt: int, client: str = "a", answer: int = 50, weight: float = 1.0) -> Sequence:
    params = SamplingParams(max_tokens=answer, seed=0)
    tokens = [1000 * number + each for each in range(prompt)]
    return Sequence(number, client, tokens, params, lambda event: None, weight=weight)


def scheduler(*sequences: Sequence, step_tokens: int = 100, parallel: int = 8) -> Scheduler:
    made = Scheduler(Rules(parallel, 999), Layout(parallel), Pace(step_tokens))
    made.pace.observe(0, 512, 0.01)  # fast enough to read all that it may
    for each in sequences:
        made.submit(each)
    made.admit()
    return made


def step(made: Scheduler) -> list[Chunk]:
    chunks = made.plan()
    for each in made.read(chunks):
        each.tokens.append(1)
    return chunks


def sizes(chunks: list[Chunk]) -> dict[int, int]:
    return {chunk.slot: len(chunk.tokens) for chunk in chunks}


def test_streams_come_first_and_prompts_share_the_rest() -> None:
    made = scheduler(sequence(0, 5), sequence(1, 5))
    step(made)
    made.submit(sequence(2, 500))
    made.admit()
    assert sizes(step(made)) == {0: 1, 1: 1, 2: 98}


def test_short_prompt_does_not_wait_for_the_reading_of_a_book() -> None:
    made = scheduler(sequence(0, 1000), sequence(1, 60))
    assert sizes(step(made)) == {0: 40, 1: 60}


def test_oldest_prompt_is_never_left_out() -> None:
    made = scheduler(sequence(0, 1000), *(sequence(number, 50) for number in range(1, 8)))
    assert sizes(step(made)) == {0: 25, 1: 50, 2: 25}


def test_last_piece_of_a_prompt_wants_a_token() -> None:
    made = scheduler(sequence(0, 150))
    assert [chunk.wants_token for _ in range(2) for chunk in step(made)] == [False, True]


def test_chunks_are_sorted_by_slot() -> None:
    made = scheduler(*(sequence(number, 5) for number in range(4)))
    step(made)
    made.remove(0)
    made.submit(sequence(9, 5))
    made.admit()
    assert [chunk.slot for chunk in made.plan()] == [0, 1, 2, 3]
    assert [len(chunk.tokens) for chunk in made.plan()] == [5, 1, 1, 1]


def test_deterministic_prompts_are_read_one_at_a_time_in_steps_of_their_own() -> None:
    made = Scheduler(Rules(4, 9, is_deterministic=True), Layout(4), Pace(100))
    for number, prompt in enumerate([30, 130, 20]):
        made.submit(sequence(number, prompt))
    made.admit()
    assert [sizes(step(made)) for _ in range(5)] == [{0: 30}, {1: 100}, {1: 30}, {2: 20}, {0: 1, 1: 1, 2: 1}]


def served(made: Scheduler, times: int) -> Counter[str]:
    """Who gets the only slot, again and again."""
    order = Counter[str]()
    for _ in range(times):
        made.admit()
        (running,) = (each for each in made.sequences() if each.slot >= 0)
        order[running.client] += 1
        made.remove(running.id)
    return order


def test_clients_get_equal_work_and_not_equally_many_requests() -> None:
    long = [sequence(number, 100, "long", answer=300) for number in range(20)]
    short = [sequence(50 + number, 50, "short", answer=50) for number in range(40)]
    order = served(scheduler(*long, *short, parallel=1), 25)
    assert (order["long"], order["short"]) == (5, 20)


def test_weight_is_a_share_of_the_work() -> None:
    heavy = [sequence(number, 10, "heavy", weight=4.0) for number in range(30)]
    light = [sequence(50 + number, 10, "light") for number in range(30)]
    order = served(scheduler(*heavy, *light, parallel=1), 20)
    assert (order["heavy"], order["light"]) == (16, 4)


@given(
    prompts=st.lists(st.integers(1, 400), min_size=1, max_size=8),
    streams=st.integers(0, 4),
    step_tokens=st.integers(16, 200),
)
def test_step_is_full_or_everything_is_read(prompts: list[int], streams: int, step_tokens: int) -> None:
    made = scheduler(*(sequence(number, 1) for number in range(streams)), step_tokens=step_tokens, parallel=12)
    step(made)
    for number, prompt in enumerate(prompts):
        made.submit(sequence(20 + number, prompt))
    made.admit()
    unread = sum(each.unread for each in made.sequences())
    assert sum(sizes(made.plan()).values()) == min(step_tokens, unread)
