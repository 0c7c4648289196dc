"""How much memory this process may still take: the machine's free memory, less if a cgroup allows less."""

from pathlib import Path
from typing import Final

_MEMINFO: Final = Path("/proc/meminfo")
_CGROUPS: Final = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
_UNKNOWN: Final = 2**31


def available_bytes() -> int:
    """What can be taken now."""
    left = [_left(_read(limit), _read(used)) for limit, used in _CGROUPS]
    return min([parse_meminfo(_read(_MEMINFO)), *(each for each in left if each is not None)])


def parse_meminfo(text: str) -> int:
    """MemAvailable of /proc/meminfo, in bytes; 2 GiB where it does not say."""
    for line in text.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return _UNKNOWN


def _left(limit: str, used: str) -> int | None:
    """None for no limit: "max", or no such file."""
    if not limit.strip().isdigit() or not used.strip().isdigit():
        return None
    return max(int(limit) - int(used), 0)


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
