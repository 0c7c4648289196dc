import pytest

from models.engine import memory
from models.engine.memory import available_bytes, parse_meminfo
from models.fit.machine import Machine
from models.server.load import _room_for_cache


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
    assert memory._left(limit, used, "") == left


@pytest.mark.parametrize(
    ("stat", "left"),
    [
        ("anon 100\nfile 700\ninactive_file 500\nactive_file 100\n", 800),
        ("inactive_file 1\nactive_file 1\ntotal_inactive_file 200\ntotal_active_file 50\n", 450),
        ("inactive_file 900\nactive_file 900\n", 1000),
        ("anon 100\nnonsense\ninactive_file ?\n", 200),
    ],
    ids=["version 2", "version 1", "read in between", "nonsense"],
)
def test_files_that_a_cgroup_has_read_can_be_given_back(stat: str, left: int) -> None:
    assert memory._left("1000\n", "800\n", stat) == left


def test_machine_has_some_memory() -> None:
    assert 0 < available_bytes() < 2**50


@pytest.mark.parametrize(
    ("now", "has_gpu", "room"),
    [(1000, False, 400), (300, False, 300), (1000, True, 1000)],
    ids=["mapped", "held", "GPU"],
)
def test_cache_gets_no_memory_that_weights_lie_in(now: int, has_gpu: bool, room: int) -> None:
    before = Machine(1000, threads=1, has_gpu=has_gpu)
    assert _room_for_cache(before, Machine(now, threads=1, has_gpu=has_gpu), 600) == room


def test_weights_larger_than_the_memory_leave_none() -> None:
    machine = Machine(1000, threads=1, has_gpu=False)
    assert _room_for_cache(machine, machine, 1100) == 0
