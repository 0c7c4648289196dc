"""What a stream has delivered can be had again, within the memory that there is."""

import random

from hypothesis import given
from hypothesis import strategies as st

from proxy.server.journal import TAIL_BLOCKS, Budget, Journal
from proxy.wire import sse

EVENT = sse.event(b'{"choices":[{"delta":{"content":"word"},"finish_reason":null}]}')


def journal(*blocks: bytes, budget: Budget | None = None) -> Journal:
    first, *rest = blocks
    kept = Journal(budget or Budget(), first)
    for block in rest:
        kept.add(block)
    return kept


def noise(count: int) -> list[bytes]:
    """Blocks of a KiB that cannot be packed."""
    rng = random.Random(1)
    return [rng.randbytes(1024) for _ in range(count)]


blocks = st.lists(st.binary(min_size=1, max_size=6000), min_size=1, max_size=30)


@given(blocks)
def test_everything_is_given_back_as_it_was_added(blocks: list[bytes]) -> None:
    kept = journal(*blocks)
    assert (kept.delivered(), kept.is_complete) == (b"".join(blocks), True)


@given(blocks)
def test_tail_is_the_last_blocks(blocks: list[bytes]) -> None:
    assert list(journal(*blocks).tail()) == blocks[-TAIL_BLOCKS:]


@given(st.lists(blocks, min_size=1, max_size=4))
def test_budget_is_whole_again_when_all_journals_are_closed(streams: list[list[bytes]]) -> None:
    budget = Budget()
    kept = [journal(*blocks, budget=budget) for blocks in streams]
    for each in kept:
        each.close()
    assert budget.used_bytes == 0


@given(st.lists(blocks, min_size=1, max_size=4), st.integers(0, 20_000))
def test_budget_is_never_exceeded_nor_forgotten(streams: list[list[bytes]], limit_bytes: int) -> None:
    budget = Budget(limit_bytes)
    kept = [journal(*blocks, budget=budget) for blocks in streams]
    assert budget.used_bytes <= limit_bytes
    for each, blocks in zip(kept, streams, strict=True):
        assert not each.is_complete or each.delivered() == b"".join(blocks)
        each.close()
    assert budget.used_bytes == 0


def test_closing_twice_gives_back_once() -> None:
    budget = Budget()
    kept = journal(*noise(40), budget=budget)
    kept.close()
    kept.close()
    assert budget.used_bytes == 0


def test_events_of_a_stream_take_a_tenth_of_their_size() -> None:
    budget = Budget()
    journal(*[EVENT] * 2000, budget=budget)
    assert 0 < budget.used_bytes < len(EVENT) * 2000 / 10


def test_journal_beyond_the_budget_forgets_and_says_so_and_can_still_judge_the_end() -> None:
    budget = Budget(16 * 1024)
    blocks = noise(40)
    kept = journal(*blocks, budget=budget)
    assert (kept.is_complete, budget.used_bytes) == (False, 0)
    assert list(kept.tail()) == blocks[-TAIL_BLOCKS:]


def test_journal_that_forgot_takes_no_more_memory() -> None:
    budget = Budget(16 * 1024)
    kept = journal(*noise(40), budget=budget)
    for block in noise(100):
        kept.add(block)
    assert (budget.used_bytes, kept.is_complete) == (0, False)
    assert len(kept.delivered()) < 16 * 1024


def test_one_journal_beyond_the_budget_costs_the_others_nothing() -> None:
    budget = Budget(16 * 1024)
    blocks = noise(12)
    first = journal(*blocks, budget=budget)
    journal(*noise(40), budget=budget)
    assert (first.is_complete, first.delivered()) == (True, b"".join(blocks))


def test_block_larger_than_a_pack_is_kept() -> None:
    blocks = [b"a" * 100_000, b"b", *[EVENT] * 10]
    assert journal(*blocks).delivered() == b"".join(blocks)
