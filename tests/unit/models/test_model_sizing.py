import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.engine.sizing import CPU_PARALLEL, GPU_PARALLEL, MAX_SLOTS, Sizing, Wishes, choose, default_kv_bytes

GIB = 2**30


def sized(wishes: Wishes, *, token: int = 1024, free: int = 8 * GIB, has_gpu: bool = False) -> Sizing:
    return choose(wishes, bytes_per_token=token, available_bytes=free, has_gpu=has_gpu)


def test_small_model_gets_a_context_for_each_sequence() -> None:
    made = sized(Wishes(8192))
    assert (made.is_unified, made.parallel, made.slots, made.cells) == (False, CPU_PARALLEL, CPU_PARALLEL, 16 * 8192)


def test_what_does_not_fit_becomes_a_pool() -> None:
    made = sized(Wishes(8192), token=64 * 1024)
    assert made.is_unified
    assert made.cells * 64 * 1024 <= GIB // 2 + 256 * 64 * 1024
    assert made.slots == 2 * made.parallel


def test_pool_holds_one_whole_sequence_whatever_it_costs() -> None:
    assert sized(Wishes(8192), token=GIB).cells == 8192


def test_pool_is_no_larger_than_all_sequences_together() -> None:
    made = sized(Wishes(512, parallel=2, kv="unified"), token=1)
    assert (made.is_unified, made.cells) == (True, 1024)


def test_operator_has_the_last_word_on_the_layout() -> None:
    assert not sized(Wishes(8192, kv="split"), token=GIB).is_unified
    assert sized(Wishes(256, kv="unified"), token=1).is_unified


def test_gpu_runs_more_at_once() -> None:
    assert sized(Wishes(256), token=1, has_gpu=True).parallel == GPU_PARALLEL


def test_memory_that_was_given_is_used() -> None:
    frugal, generous = (sized(Wishes(8192, kv_bytes=size), token=64 * 1024) for size in (GIB, 9 * GIB))
    assert (frugal.is_unified, frugal.cells) == (True, GIB // (64 * 1024))
    assert not generous.is_unified


def test_guest_takes_a_quarter_and_no_more_than_half_a_gibibyte() -> None:
    assert (default_kv_bytes(GIB), default_kv_bytes(64 * GIB)) == (GIB // 4, GIB // 2)


def test_reason_is_told_in_mebibytes() -> None:
    assert sized(Wishes(1024, parallel=4)).reason == "a context for each of 4 sequences takes 4 MiB"


@given(
    wishes=st.builds(
        Wishes,
        st.integers(64, 131_072),
        st.one_of(st.none(), st.integers(1, 1000)),
        st.sampled_from(["auto", "split", "unified"]),
        st.one_of(st.none(), st.integers(2**20, 2**36)),
    ),
    token=st.integers(1, 2**22),
    free=st.integers(0, 2**40),
    has_gpu=st.booleans(),
)
def test_everybody_who_runs_has_a_slot_and_one_whole_sequence_fits(
    wishes: Wishes, token: int, free: int, has_gpu: bool
) -> None:
    made = sized(wishes, token=token, free=free, has_gpu=has_gpu)
    assert 1 <= made.parallel <= made.slots <= MAX_SLOTS
    assert made.cells >= wishes.context_tokens
    assert made.cells % 256 == 0
    assert made.is_unified or made.cells >= made.slots * wishes.context_tokens


@pytest.mark.parametrize("context", [64, 255, 256])
def test_cells_are_counted_as_llama_cpp_rounds_them(context: int) -> None:
    assert sized(Wishes(context, parallel=3)).cells == 3 * 256
