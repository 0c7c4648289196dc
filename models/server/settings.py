"""What `serve` was told."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from models.conversion.tiling import AmxWish
from models.engine.sizing import KvLayout


@dataclass(frozen=True, slots=True)
class UnixEndpoint:
    """Listen on a unix socket that only our own user may connect to."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class TcpEndpoint:
    """Listen on a TCP port. There is no authentication: keep it on loopback or behind the proxy."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in {"localhost", "::1"} or self.host.startswith("127.")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


Endpoint: TypeAlias = UnixEndpoint | TcpEndpoint


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """All of `serve`'s flags, typed.

    Attributes:
        endpoint: where to listen.
        model: catalogue name or path.
        folder: where pulled models live.
        context_tokens: of one sequence; clamped to what the model was trained for.
        parallel: sequences at once; None to choose.
        kv: layout of the cache.
        kv_bytes: memory for the cache; None to choose.
        shares_prefixes: a prefix that one client sent may serve another.
        allows_grammars: take grammars from clients. Some take seconds to follow, so only from clients that are trusted.
        is_deterministic: a request gets the same text alone and among others.
        threads: None for as many as this process may use.
        gpu_layers: None for all if there is a GPU.
        amx: whether the CPU's tile unit computes.
        canary_seconds: generate a token so often; 0 for never.
        queue_limit: how many sequences may wait.
        body_limit_bytes: larger requests are refused.
        may_pull: fetch a catalogue model that is absent.
        may_convert: use a copy in a faster format, and make it if it is not there.
        is_supervised: report on stdout and die with the parent.
        is_held: load only when the supervisor says so.

    """

    endpoint: Endpoint
    model: str
    folder: Path
    context_tokens: int
    parallel: int | None
    kv: KvLayout
    kv_bytes: int | None
    shares_prefixes: bool
    allows_grammars: bool
    is_deterministic: bool
    threads: int | None
    gpu_layers: int | None
    amx: AmxWish
    canary_seconds: int
    queue_limit: int
    body_limit_bytes: int
    may_pull: bool
    may_convert: bool
    is_supervised: bool
    is_held: bool
