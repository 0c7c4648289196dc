"""How many threads this process may really use: what the scheduler grants it, not what the host has.

A container on a 64-core host with a quota of two cores that starts 64 threads spends its quota in spinning barriers.
"""

import os
from pathlib import Path
from typing import Final

_CGROUP_ROOT: Final = Path("/sys/fs/cgroup")
_OWN_CGROUP: Final = Path("/proc/self/cgroup")


def available_threads() -> int:
    """The CPUs of our affinity mask, less if a cgroup's quota (v2 or v1) is smaller; at least 1."""
    return thread_count(_affinity(), [*_quotas_v2(), *_quotas_v1()])


def thread_count(cpus: int, quotas: list[float]) -> int:
    """As many threads as are sure to run at once: a quota of 1.5 CPUs would stop two threads half of the time."""
    return max(1, int(min([float(cpus), *quotas])))


def parse_cpu_max(text: str) -> float | None:
    """CPUs granted by cgroup v2's cpu.max ("200000 100000"); None for "max"."""
    fields = text.split()
    if len(fields) != 2 or fields[0] == "max":
        return None
    return int(fields[0]) / int(fields[1])


def parse_cfs_quota(quota: str, period: str) -> float | None:
    """CPUs granted by cgroup v1's cpu.cfs_quota_us and cpu.cfs_period_us; None for -1."""
    return int(quota) / int(period) if int(quota) > 0 else None


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas_v2() -> list[float]:
    own = [line.removeprefix("0::/") for line in _read(_OWN_CGROUP).splitlines() if line.startswith("0::/")]
    here = _CGROUP_ROOT.joinpath(*own)
    # The tightest of all ancestors counts; inside a container the path may be the host's and lead nowhere.
    folders = [here, *here.parents, _CGROUP_ROOT]
    found = (parse_cpu_max(_read(folder / "cpu.max")) for folder in folders if folder.is_relative_to(_CGROUP_ROOT))
    return [quota for quota in found if quota is not None]


def _quotas_v1() -> list[float]:
    quota = _read(_CGROUP_ROOT / "cpu" / "cpu.cfs_quota_us").strip()
    period = _read(_CGROUP_ROOT / "cpu" / "cpu.cfs_period_us").strip()
    granted = parse_cfs_quota(quota, period) if quota and period else None
    return [] if granted is None else [granted]


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
