import json

import pytest

from models.bench.measure import PROMPT_TOKENS, WRITTEN_TOKENS, Rates, measure
from models.bench.table import expected_wait, render, render_json
from models.engine.sizing import STEP_TOKENS
from models.engine.step import Chunk


class Machine:
    """Takes as long for a step as its tokens say, on a clock of its own."""

    def __init__(self, seconds_per_token: float) -> None:
        self.now = 0.0
        self.steps: list[list[Chunk]] = []
        self.held: dict[int, int] = {}
        self._seconds_per_token = seconds_per_token

    def clock(self) -> float:
        return self.now

    def decode(self, chunks: list[Chunk]) -> list[int]:
        for chunk in chunks:
            assert chunk.position == self.held.get(chunk.slot, 0)
            self.held[chunk.slot] = chunk.position + len(chunk.tokens)
        self.steps.append(chunks)
        self.now += self._seconds_per_token * sum(len(chunk.tokens) for chunk in chunks)
        return []

    def forget(self, slot: int) -> None:
        del self.held[slot]


PROMPT = list(range(PROMPT_TOKENS))


@pytest.mark.parametrize("sequences", [1, 3, 32])
def test_rates_are_those_of_the_machine(sequences: int) -> None:
    machine = Machine(0.001)
    rates = measure(machine, sequences, PROMPT, machine.clock, limit_seconds=1000)
    assert rates == Rates(sequences, pytest.approx(1000), pytest.approx(1000))
    assert machine.held == {}


def test_steps_are_full_but_no_larger_than_they_may_be() -> None:
    machine = Machine(0.001)
    measure(machine, 5, PROMPT, machine.clock, limit_seconds=1000)
    sizes = [sum(len(chunk.tokens) for chunk in step) for step in machine.steps]
    assert sizes == [STEP_TOKENS, PROMPT_TOKENS] + [5] * WRITTEN_TOKENS


def test_slow_machine_is_measured_by_what_it_does_in_time() -> None:
    machine = Machine(1.0)
    rates = measure(machine, 32, PROMPT, machine.clock, limit_seconds=10)
    assert len(machine.steps) == 2
    assert (rates.read_per_second, rates.written_per_second) == (pytest.approx(1), pytest.approx(1))


def test_last_user_waits_for_all_prompts_and_then_for_his_share() -> None:
    wait = expected_wait(Rates(4, read_per_second=1000, written_per_second=100))
    assert (wait.first_seconds, wait.last_seconds) == (2.0, 2.0 + 4 * 150 / 100)


def test_table_has_a_line_for_each_number_and_says_what_is_assumed() -> None:
    text = render([Rates(1, 1000, 50), Rates(2, 1000, 80)], 10**8)
    lines = text.splitlines()
    assert lines[1].split() == ["1", "1000", "50", "50.0", "0.5", "s", "3.5", "s"]
    assert lines[2].split()[:4] == ["2", "1000", "80", "40.0"]
    assert "500 tokens each, for 150" in text
    assert "memory: 100 MB" in text


def test_programs_get_the_same() -> None:
    document = json.loads(render_json([Rates(1, 1000, 50)], 10**8))
    assert document["memory_bytes"] == 10**8
    assert document["measured"][0]["last_word_seconds"] == 3.5
