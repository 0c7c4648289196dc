"""`workers: auto` from what the kernel says in its files."""

from pathlib import Path

import pytest

from proxy.workers.cpus import Cgroups, usable_cpus, worker_count


@pytest.fixture
def cgroups(tmp_path: Path) -> Cgroups:
    return Cgroups(own=tmp_path / "self", root=tmp_path / "cgroup")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_number_is_taken_as_it_is(cgroups: Cgroups) -> None:
    assert worker_count(7, cgroups) == 7


def test_without_cgroups_the_affinity_counts(cgroups: Cgroups) -> None:
    assert usable_cpus(6, cgroups) == 6


@pytest.mark.parametrize(
    ("cpu_max", "expected"),
    [("max 100000", 8), ("200000 100000", 2), ("250000 100000", 2), ("50000 100000", 1), ("", 8), ("nonsense", 8)],
)
def test_quota_of_version_2_is_rounded_down_to_whole_cpus(cgroups: Cgroups, cpu_max: str, expected: int) -> None:
    write(cgroups.own, "0::/app\n")
    write(cgroups.root / "app" / "cpu.max", f"{cpu_max}\n")
    assert usable_cpus(8, cgroups) == expected


def test_tightest_of_all_groups_around_us_counts(cgroups: Cgroups) -> None:
    write(cgroups.own, "0::/pod/app\n")
    write(cgroups.root / "pod" / "app" / "cpu.max", "400000 100000\n")
    write(cgroups.root / "pod" / "cpu.max", "300000 100000\n")
    assert usable_cpus(8, cgroups) == 3


def test_path_of_the_host_that_leads_nowhere_leaves_the_root_of_the_container(cgroups: Cgroups) -> None:
    write(cgroups.own, "0::/../../kubepods/app\n")
    write(cgroups.root / "cpu.max", "200000 100000\n")
    assert usable_cpus(8, cgroups) == 2


@pytest.mark.parametrize(("quota", "expected"), [("-1", 8), ("300000", 3)])
def test_quota_of_version_1(cgroups: Cgroups, quota: str, expected: int) -> None:
    write(cgroups.own, "7:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n")
    write(cgroups.root / "cpu" / "cpu.cfs_quota_us", f"{quota}\n")
    write(cgroups.root / "cpu" / "cpu.cfs_period_us", "100000\n")
    assert usable_cpus(8, cgroups) == expected


def test_quota_does_not_raise_the_number_above_the_affinity(cgroups: Cgroups) -> None:
    write(cgroups.own, "0::/\n")
    write(cgroups.root / "cpu.max", "6400000 100000\n")
    assert usable_cpus(4, cgroups) == 4
