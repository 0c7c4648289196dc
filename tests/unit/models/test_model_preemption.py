"""Who has to make place when a shared pool is full, and how it comes back."""

from models.engine.pace import Pace
from models.engine.params import SamplingParams
from models.engine.scheduler import Rules, Scheduler
from models.engine.sequence import Sequence
from models.engine.step import Layout

GROWTH = 32
"""Room that each running sequence is granted before somebody else is let in."""


def sequence(number: int, prompt: int = 40, client: str | None = None) -> Sequence:
    params = SamplingParams(max_tokens=50, seed=0)
    return Sequence(number, client or str(number), [number] * prompt, params, lambda event: None)


def scheduler(*sequences: Sequence, pool: int | None = 400, parallel: int = 4, slots: int = 8) -> Scheduler:
    made = Scheduler(Rules(parallel, 99), Layout(slots, pool), Pace(512))
    made.pace.observe(0, 512, 0.01)  # fast enough to read all that it may
    for each in sequences:
        made.submit(each)
    return made


def step(made: Scheduler, token: int = 3) -> None:
    """One turn, in which everybody who gets a token gets this one."""
    made.admit()
    made.take_emptied()
    for heir, found in made.inherit():
        made.inherited(heir, found, is_done=True)
    for each in made.read(made.plan()):
        each.tokens.append(token)


def running(made: Scheduler) -> list[int]:
    return sorted(each.id for each in made.sequences() if each.slot >= 0)


def test_what_was_kept_goes_before_anybody_who_runs() -> None:
    made = scheduler(sequence(1), sequence(2))
    step(made)
    made.remove(1)
    assert made.kept_tokens == 40
    assert made.crowded() is None
    assert (made.kept_tokens, running(made)) == (0, [2])


def test_youngest_makes_place_and_waits_at_the_front() -> None:
    made = scheduler(sequence(1), sequence(2), sequence(3), sequence(4), sequence(5))
    step(made)
    assert made.crowded() is None
    assert running(made) == [1, 2, 3]
    assert made.admit() == []
    assert running(made) == [1, 2, 3, 4]


def test_preempted_sequence_reads_its_own_words_again() -> None:
    young = sequence(2)
    made = scheduler(sequence(1), young)
    step(made, token=7)
    step(made, token=8)
    made.crowded()
    assert (young.position, young.slot, young.tokens[-2:]) == (0, -1, [7, 8])
    assert made.take_emptied() == [1]
    made.admit()
    (chunk,) = [chunk for chunk in made.plan() if chunk.slot == young.slot]
    assert (chunk.position, len(chunk.tokens), chunk.wants_token) == (0, 42, True)


def test_preempted_sequence_is_not_announced_twice() -> None:
    made = scheduler(sequence(1), sequence(2))
    assert [each.id for each in made.admit()] == [1, 2]
    made.crowded()
    assert made.admit() == []
    assert running(made) == [1, 2]


def test_preempted_sequence_counts_as_waiting_and_can_be_cancelled() -> None:
    made = scheduler(sequence(1), sequence(2))
    step(made)
    made.crowded()
    assert (made.running, made.queued) == (1, 1)
    assert made.remove(2) is not None
    assert (made.running, made.queued) == (1, 0)


def test_preempted_sequence_outlives_its_deadline() -> None:
    young = sequence(2)
    young.deadline_at = 5.0
    made = scheduler(sequence(1), young)
    step(made)
    made.crowded()
    assert made.expire(9.0) == []
    assert made.queued == 1


def test_last_one_is_given_up_since_nothing_else_helps() -> None:
    alone = sequence(1)
    made = scheduler(alone)
    step(made)
    assert made.crowded() is alone


def test_heir_of_a_preempted_reader_does_not_wait_for_it() -> None:
    reader, heir = sequence(1, 100, "a"), sequence(1, 120, "a")
    heir.id = 2
    made = scheduler(sequence(0), reader, heir)
    made.admit()
    assert heir.inheritance is not None
    made.crowded()  # the heir itself was the youngest
    made.admit()
    made.remove(1)
    assert heir.inheritance is None
    assert sum(len(chunk.tokens) for chunk in made.plan() if chunk.slot == heir.slot) == 120


def test_nobody_is_let_in_who_would_not_fit() -> None:
    room_for_two = 2 * 40 + 2 * GROWTH
    made = scheduler(sequence(1), sequence(2), sequence(3), pool=room_for_two)
    assert [each.id for each in made.admit()] == [1, 2]


def test_one_that_fills_the_pool_is_let_in_alone() -> None:
    made = scheduler(sequence(1, prompt=390), sequence(2))
    assert [each.id for each in made.admit()] == [1]


def test_shared_prefix_does_not_need_its_room_for_each() -> None:
    twice = 2 * 100 + 2 + 3 * GROWTH
    made = scheduler(*(sequence(7, prompt=100) for _ in range(3)), pool=twice)
    assert len(made.admit()) == 3


def test_split_cache_has_room_for_as_many_as_may_run() -> None:
    made = scheduler(*(sequence(number, prompt=10_000) for number in range(5)), pool=None)
    assert len(made.admit()) == 4


def test_kept_tokens_take_half_of_the_pool_at_most() -> None:
    made = scheduler(pool=200)
    for number in range(1, 5):
        made.submit(sequence(number))
        step(made)
        made.remove(number)
    assert made.kept_tokens == 80


def test_lost_memory_costs_everything_but_the_words() -> None:
    first, second = sequence(1), sequence(2)
    made = scheduler(first, second)
    step(made, token=9)
    made.remove(1)
    made.wiped()
    assert (made.kept_tokens, second.position, second.tokens[-1]) == (0, 0, 9)
    (chunk,) = made.plan()
    assert len(chunk.tokens) == 41
