"""How many threads compute: whoever is faster, on a machine whose other programs come and go."""

import math
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from models.engine.crew import Crew

TOKENS = 8


def quiet(threads: int) -> float:
    return 0.12 / threads


def contended(threads: int) -> float:
    """Somebody else has one of two cores: barriers wait for a thread that does not run."""
    return 0.12 if threads == 1 else 1.4


def work(crew: Crew, steps: int, seconds: Callable[[int], float], tokens: int = TOKENS) -> float:
    """Let the crew compute so many steps; returns the seconds that they took."""
    total = 0.0
    for _ in range(steps):
        step = seconds(crew.threads)
        crew.observe(tokens, step)
        total += step
    return total


def test_all_threads_compute_at_first() -> None:
    assert Crew(4).threads == 4


def test_a_quiet_machine_loses_next_to_nothing_by_trying() -> None:
    crew = Crew(2)
    assert work(crew, 5000, quiet) < 1.01 * 5000 * quiet(2)
    assert crew.threads == 2


def test_contention_is_noticed_within_few_steps() -> None:
    crew = Crew(2)
    work(crew, 100, quiet)
    work(crew, 4, contended)
    assert crew.threads == 1


def test_lasting_contention_costs_little() -> None:
    crew = Crew(2)
    work(crew, 200, contended)
    assert work(crew, 5000, contended) < 1.05 * 5000 * contended(1)


def test_all_threads_come_back_when_the_other_program_has_gone() -> None:
    crew = Crew(2)
    work(crew, 3000, contended)
    work(crew, 600, quiet)
    assert crew.threads == 2


def test_many_cores_are_left_in_strides() -> None:
    crew = Crew(16)
    seen = set()

    def five_cores_are_free(threads: int) -> float:
        seen.add(threads)
        turns = math.ceil(threads / 5)
        return 0.5 * turns / threads * (1 + 0.1 * turns)

    before = five_cores_are_free(16)
    work(crew, 1000, five_cores_are_free)
    assert five_cores_are_free(crew.threads) < 0.8 * before
    assert len(seen) > 4


def test_reading_of_long_prompts_is_no_time_for_trials() -> None:
    crew = Crew(2)
    work(crew, 1000, lambda threads: 2.0 / threads, tokens=300)
    seen = {crew.threads for _ in range(100) if not crew.observe(300, 1.0)}
    assert seen == {2}


def test_equally_fast_is_no_reason_to_change() -> None:
    crew = Crew(8)
    work(crew, 2000, lambda _threads: 0.1)
    assert crew.threads == 8


def test_steps_of_different_size_are_not_compared() -> None:
    crew = Crew(2)
    work(crew, 40, quiet)
    before = crew.threads
    for tokens in (1, 500) * 200:
        crew.observe(tokens, 0.001 * tokens if crew.threads == before else 0.1)
    assert crew.threads == before or tokens == 500


def test_a_fixed_crew_never_changes() -> None:
    crew = Crew(2, least=2)
    work(crew, 1000, contended)
    assert crew.threads == 2


@given(
    st.integers(1, 4),
    st.integers(0, 64),
    st.lists(st.tuples(st.integers(1, 600), st.floats(1e-6, 20)), max_size=300),
)
def test_threads_stay_within_what_is_allowed(least: int, more: int, steps: list[tuple[int, float]]) -> None:
    crew = Crew(least + more, least)
    for tokens, seconds in steps:
        crew.observe(tokens, seconds)
        assert least <= crew.threads <= least + more
