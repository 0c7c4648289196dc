import pytest

from models.engine import memory
from models.engine.memory import available_bytes, parse_meminfo


def test_free_memory_is_what_the_kernel_says_is_available() -> None:
    text = "MemTotal:       100 kB\nMemFree:   3 kB\nMemAvailable:    42 kB\nSwapFree: 9 kB\n"
    assert parse_meminfo(text) == 42 * 1024


@pytest.mark.parametrize("text", ["", "MemTotal: 100 kB\n"])
def test_two_gibibytes_are_assumed_where_nothing_is_said(text: str) -> None:
    assert parse_meminfo(text) == 2**31


@pytest.mark.parametrize(
    ("limit", "used", "left"),
    [("1000\n", "300\n", 700), ("1000", "1300", 0), ("max\n", "300\n", None), ("", "", None), ("1000", "", None)],
)
def test_cgroup_leaves_what_its_limit_leaves(limit: str, used: str, left: int | None) -> None:
    assert memory._left(limit, used) == left


def test_machine_has_some_memory() -> None:
    assert 0 < available_bytes() < 2**50
