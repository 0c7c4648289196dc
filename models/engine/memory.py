"""How much memory this process may still take: the machine's free memory, less if a cgroup allows less.

A cgroup counts the files that were read in it as used, a model's own among them. The kernel gives that memory back when
somebody wants it, so it counts as free here, as it does in MemAvailable.
"""

from pathlib import Path
from typing import Final

_MEMINFO: Final = Path("/proc/meminfo")
_CGROUPS: Final = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
    ),
)
_UNKNOWN: Final = 2**31


def available_bytes() -> int:
    """What can be taken now."""
    left = [_left(*map(_read, files)) for files in _CGROUPS]
    return min([parse_meminfo(_read(_MEMINFO)), *(each for each in left if each is not None)])


def parse_meminfo(text: str) -> int:
    """MemAvailable of /proc/meminfo, in bytes; 2 GiB where it does not say."""
    for line in text.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return _UNKNOWN


def _left(limit: str, used: str, stat: str) -> int | None:
    """None for no limit: "max", or no such file."""
    if not limit.strip().isdigit() or not used.strip().isdigit():
        return None
    return max(int(limit) - max(int(used) - _file_bytes(stat), 0), 0)


def _file_bytes(stat: str) -> int:
    """What it holds of files, by a cgroup's memory.stat. Version 1 has the sums with children under other names."""
    sizes = {name: int(size) for name, _, size in (line.partition(" ") for line in stat.splitlines()) if size.isdigit()}
    return sum(sizes.get(f"total_{name}", sizes.get(name, 0)) for name in ("inactive_file", "active_file"))


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
