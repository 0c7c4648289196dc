"""What the server needs to know of the configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from proxy.core.action import Timeouts


@dataclass(frozen=True, slots=True)
class Client:
    """An application that may use the proxy. `key_digest` is the SHA-256 of its key, 32 bytes."""

    name: str
    key_digest: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Bounds on a request, and who may send one (no `clients`: whoever reaches the port)."""

    body_bytes: int
    body_timeout_seconds: float
    deadline_seconds: float
    local_reserve_seconds: float
    timeouts: Mapping[str, Timeouts]
    clients: tuple[Client, ...] = ()
    hedges: bool = False
    """Whether the local model starts beside an upstream that is oddly silent."""
