import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.engine.prefix import common_prefix


@pytest.mark.parametrize(
    ("one", "other", "length"),
    [
        ([], [], 0),
        ([1], [], 0),
        ([1], [2], 0),
        ([1, 2, 3], [1, 2], 2),
        ([1, 2, 3], [1, 2, 3], 3),
        ([7] * 64, [7] * 64, 64),
        ([7] * 64 + [1], [7] * 64 + [2], 64),
        ([7] * 200, [7] * 130, 130),
        ([7] * 100 + [1] * 50, [7] * 100 + [2] * 50, 100),
    ],
)
def test_common_beginning_is_measured(one: list[int], other: list[int], length: int) -> None:
    assert common_prefix(one, other) == length


@given(st.integers(0, 200), st.lists(st.integers(0, 1), max_size=70), st.lists(st.integers(0, 1), max_size=70))
def test_it_is_what_a_look_at_every_token_finds(head: int, one: list[int], other: list[int]) -> None:
    first, second = [9] * head + one, [9] * head + other
    same = [a == b for a, b in zip(first, second, strict=False)]
    expected = same.index(False) if False in same else len(same)
    assert common_prefix(first, second) == common_prefix(second, first) == expected
