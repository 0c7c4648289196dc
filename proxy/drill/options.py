"""What `hotspare drill` is told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from proxy.core.drill import MAX_SECONDS as MOST_SECONDS
from proxy.core.drill_report import Shape

__all__ = ["MOST_SECONDS", "SHAPES", "Options"]

SHAPES: Final = tuple(str(shape) for shape in Shape)


@dataclass(frozen=True, slots=True)
class Options:
    """Times in seconds. `proxy` and `admin` are URLs without a path: where clients ask, and where /drills is."""

    shape: str
    upstreams: tuple[str, ...]
    only_model: str | None
    share: float
    seconds: float
    proxy: str
    admin: str
    clients: int
    model: str
    key: str
    wait_seconds: float
    json: Path | None
