import pytest

from models.engine.slots import Kept, Slots


def kept(length: int = 3, client: str = "a") -> Kept:
    return Kept(client, [1] * length)


def pool(count: int, *holding: int) -> Slots:
    """Slots of a shared pool, in some of which something is kept: the first of them for the longest time."""
    return _made(count, holding, is_packed=False)


def packed(count: int, *holding: int) -> Slots:
    return _made(count, holding, is_packed=True)


def _made(count: int, holding: tuple[int, ...], *, is_packed: bool) -> Slots:
    slots = Slots(count, is_packed=is_packed)
    taken = [slots.take() for _ in range(count)]
    for slot in holding:
        slots.keep(slot, kept())
    for free in set(range(count)) - set(holding):
        assert free in taken
        slots.release(free)
    slots.take_emptied()
    return slots


@pytest.mark.parametrize("is_packed", [True, False])
def test_lowest_free_slot_is_taken(is_packed: bool) -> None:
    slots = Slots(4, is_packed=is_packed)
    assert [slots.take() for _ in range(3)] == [0, 1, 2]
    slots.release(1)
    slots.release(0)
    assert [slots.take() for _ in range(3)] == [0, 1, 3]


def test_free_slot_is_preferred_to_one_that_holds_something() -> None:
    slots = pool(3, 0, 1)
    assert slots.take() == 2
    assert list(slots.kept) == [0, 1]


def test_longest_unused_goes_first_where_nothing_is_free() -> None:
    slots = pool(3, 2, 0, 1)
    slots.touch(2)
    assert slots.take() == 0
    assert slots.take_emptied() == [0]


def test_source_of_an_inheritance_is_spared() -> None:
    assert pool(2, 0, 1).take(0) == 1


def test_source_that_is_the_only_place_is_left_to_be_adopted() -> None:
    slots = pool(1, 0)
    assert slots.take(0) is None
    slots.adopt(0)
    assert not slots.kept
    assert slots.take_emptied() == []


def test_packed_slots_are_the_lowest_even_where_something_is_kept() -> None:
    slots = packed(3, 0)
    assert slots.take() == 0
    assert (list(slots.kept), slots.take_emptied()) == ([], [0])


def test_packed_heir_moves_into_the_lowest_slot_that_it_inherits_from() -> None:
    assert packed(3, 0).take(0) is None


def test_gap_below_is_filled_where_slots_are_packed() -> None:
    slots = packed(4)
    for _ in range(3):
        slots.take()
    slots.release(1)
    assert slots.take_below(2) == 1
    assert slots.take_below(1) is None


def test_gap_does_not_matter_in_a_pool() -> None:
    slots = pool(4)
    slots.take()
    slots.take()
    slots.release(0)
    assert slots.take_below(1) is None


def test_slot_given_back_has_to_be_emptied_once() -> None:
    slots = Slots(2, is_packed=True)
    slots.take()
    slots.release(0)
    slots.take()
    slots.release(0)
    assert slots.take_emptied() == [0]
    assert slots.take_emptied() == []


def test_dropping_the_oldest_frees_its_slot() -> None:
    slots = pool(2, 1, 0)
    assert slots.drop_oldest()
    assert (list(slots.kept), slots.take_emptied(), slots.take()) == ([0], [1], 1)


def test_nothing_kept_is_nothing_to_drop() -> None:
    assert not Slots(2, is_packed=False).drop_oldest()


def test_tokens_are_counted_for_each_slot() -> None:
    slots = Slots(3, is_packed=False)
    for length in (5, 7):
        slots.keep(slots.take() or 0, kept(length))
    assert slots.kept_tokens == 12


def test_reset_frees_what_was_kept_and_leaves_what_runs() -> None:
    slots = pool(3, 0)
    assert slots.take() == 1
    slots.reset()
    assert (len(slots.kept), slots.take_emptied()) == (0, [])
    assert [slots.take(), slots.take(), slots.take()] == [0, 2, None]


@pytest.mark.parametrize("act", ["adopt", "drop", "touch"])
def test_slot_that_holds_nothing_is_an_error(act: str) -> None:
    with pytest.raises(KeyError):
        getattr(Slots(2, is_packed=False), act)(0)
