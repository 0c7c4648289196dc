"""How many workers `workers: auto` is: the CPUs that this process may use, not those that the host has.

Rounded down: of two workers that share one and a half CPUs, each is stopped for half of the time. At least one.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Cgroups:
    """Where the kernel tells of CPU quotas: `own` is /proc/self/cgroup, `root` the mounted file system."""

    own: Path = Path("/proc/self/cgroup")
    root: Path = Path("/sys/fs/cgroup")


def worker_count(wanted: int | Literal["auto"], cgroups: Cgroups | None = None) -> int:
    """The number itself, or for `auto` the CPUs of the affinity mask, fewer if a cgroup's quota is smaller."""
    if wanted != "auto":
        return wanted
    return usable_cpus(len(os.sched_getaffinity(0)), cgroups or Cgroups())


def usable_cpus(affinity: int, cgroups: Cgroups) -> int:
    """Whole CPUs, at least 1."""
    return max(1, int(min([float(affinity), *_quotas(cgroups)])))


def _quotas(cgroups: Cgroups) -> Iterator[float]:
    """The quota, in CPUs, of every group around this process that has one; the tightest counts."""
    for line in _read(cgroups.own).splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from _quotas_v2(cgroups.root, path)
        elif "cpu" in controllers.split(","):
            yield from _quotas_v1(cgroups.root / "cpu", path)


def _quotas_v2(root: Path, path: str) -> Iterator[float]:
    """cpu.max is "200000 100000", or "max 100000" without a quota."""
    for folder in _lineage(root, path):
        quota, _, period = _read(folder / "cpu.max").strip().partition(" ")
        if quota.isdecimal() and period.isdecimal():
            yield int(quota) / int(period)


def _quotas_v1(root: Path, path: str) -> Iterator[float]:
    """cpu.cfs_quota_us is -1 without a quota."""
    for folder in _lineage(root, path):
        quota, period = (_read(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
        if quota.isdecimal() and period.isdecimal():
            yield int(quota) / int(period)


def _lineage(root: Path, path: str) -> list[Path]:
    """The group and those around it. In a container the path may be the host's and lead nowhere; the root is ours."""
    own = root / path.lstrip("/")
    return [folder for folder in (own, *own.parents) if folder.is_relative_to(root)]


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
