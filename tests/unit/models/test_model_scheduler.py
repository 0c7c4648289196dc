import pytest

from models.engine.pace import Pace
from models.engine.params import SamplingParams, llama_seed
from models.engine.scheduler import Rules, Scheduler
from models.engine.sequence import Sequence
from models.engine.step import Layout


def sequence(number: int, client: str = "a", prompt: int = 3, deadline_at: float | None = None) -> Sequence:
    params = SamplingParams(max_tokens=8, seed=0)
    return Sequence(number, client, [1] * prompt, params, lambda event: None, deadline_at)


def scheduler(*waiting: Sequence, queue_limit: int = 99, step_tokens: int = 4, parallel: int = 1) -> Scheduler:
    made = Scheduler(Rules(parallel, queue_limit), Layout(parallel), Pace(step_tokens))
    for item in waiting:
        assert made.submit(item) is None
    return made


def drain(made: Scheduler) -> list[int]:
    order = []
    while running := made.admit():
        order.append(running[0].id)
        made.remove(running[0].id)
    return order


def test_clients_take_turns() -> None:
    made = scheduler(sequence(1), sequence(2), sequence(3), sequence(4, "b"), sequence(5, "c"), sequence(6, "b"))
    assert drain(made) == [1, 4, 5, 2, 6, 3]


def test_one_client_is_served_in_order() -> None:
    assert drain(scheduler(*map(sequence, range(5)))) == [0, 1, 2, 3, 4]


def test_as_many_run_as_may() -> None:
    made = scheduler(*map(sequence, range(5)), parallel=3)
    assert [each.slot for each in made.admit()] == [0, 1, 2]
    assert made.admit() == []


def test_full_queue_turns_away_the_newest_of_the_flood() -> None:
    made = scheduler(sequence(1, "flood"), sequence(2, "flood"), queue_limit=2)
    refused = made.submit(sequence(3, "quiet"))
    assert refused is not None
    assert refused.id == 2
    assert drain(made) == [1, 3]


def test_lone_client_is_refused_itself_when_full() -> None:
    made = scheduler(sequence(1), queue_limit=1)
    refused = made.submit(sequence(2))
    assert refused is not None
    assert refused.id == 2


def test_expire_takes_only_the_late_ones_that_wait() -> None:
    made = scheduler(sequence(0, deadline_at=1.0))
    made.admit()
    made.submit(sequence(1, deadline_at=5.0))
    made.submit(sequence(2, deadline_at=6.0))
    made.submit(sequence(3))
    assert [late.id for late in made.expire(5.0)] == [1]
    assert made.queued == 2


def test_remove_of_an_unknown_id_is_none() -> None:
    assert scheduler(sequence(1)).remove(7) is None


def test_plan_respects_the_token_budget() -> None:
    made = scheduler(sequence(1, prompt=9))
    made.admit()
    (chunk,) = made.plan()
    assert len(chunk.tokens) == 4
    assert not chunk.wants_token


def test_lone_prompt_is_read_in_one_portion_and_one_of_several_is_not() -> None:
    made = scheduler(sequence(1, prompt=400), step_tokens=512, parallel=2)
    made.pace.observe(0, 500, 1.9)
    made.admit()
    assert [len(chunk.tokens) for chunk in made.plan()] == [400]
    made.submit(sequence(2, "b", prompt=400))
    made.admit()
    assert sum(len(chunk.tokens) for chunk in made.plan()) == 263


def test_plan_twice_is_the_same_plan() -> None:
    made = scheduler(sequence(1))
    made.admit()
    assert made.plan() == made.plan()


def test_nothing_to_plan_when_idle() -> None:
    made = scheduler()
    assert made.plan() == []
    assert made.is_idle


@pytest.mark.parametrize(
    "fields",
    [{"max_tokens": 0, "seed": 1}, {"max_tokens": 1, "seed": 0xFFFFFFFF}, {"max_tokens": 1, "seed": 1, "stop": ("",)}],
)
def test_impossible_params_are_refused(fields: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must"):
        SamplingParams(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [-1, 0, 2**32 - 1, 2**80, 42])
def test_any_integer_becomes_a_literal_seed(seed: int) -> None:
    assert SamplingParams(max_tokens=1, seed=llama_seed(seed)).seed == llama_seed(seed)


def test_empty_prompt_is_no_sequence() -> None:
    with pytest.raises(ValueError, match="at least one"):
        sequence(1, prompt=0)
