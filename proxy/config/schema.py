"""The keys of the configuration file. To add one, add a field: its type, its default, one line on what it means.

The file's key is the field's name without its unit: `window` for `window_seconds`. Fields in `_seconds` are durations,
those in `_bytes` sizes, `ratio` is a share of 1, and a plain int is a count of at least 1. `Annotated` names another
parser of `proxy.config.scalar`. A field without default is required. An optional section is switched off by `false`.
A list of single values may be written as one of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Final, Literal

from proxy.config import scalar
from proxy.config.value import Address, Secret, Url
from proxy.core.action import Timeouts
from proxy.core.breaker import BreakerSettings
from proxy.core.candidates import Prefill, Resume
from proxy.core.drill import MAX_SECONDS
from proxy.core.drill_report import Shape
from proxy.core.patience import REASONING_MODELS, UNLEARNT_SECONDS
from proxy.core.standby import Standby
from proxy.core.timetable import WeekTime

LOCAL: Final = "local"
"""What routes call the local model; no upstream may have this name."""

DEFAULT_LISTEN: Final = Address("127.0.0.1", 8080)
DEFAULT_MODEL: Final = "smollm2-135m-instruct"
_USUAL: Final = Timeouts()
LOCAL_TIMEOUTS: Final = Timeouts(first_content_seconds=60.0, stall_seconds=30.0)
"""Longer than a cloud's: nobody stands behind the local model, and a busy CPU needs its time."""

MIN_KV_BYTES: Final = 16 * 2**20
"""Less than the smallest model needs for one short answer."""

MAX_PARALLEL: Final = 256
"""As many sequences as llama.cpp takes into one context."""

MAX_WORKERS: Final = 256
"""More than any machine gains by; a slip of the keyboard must not start ten thousand processes."""

Identifier = Annotated[str, scalar.identifier]
HeaderName = Annotated[str, scalar.header_name]
Sha256Hex = Annotated[str, scalar.sha256_hex]
ContextTokens = Annotated[int, scalar.whole(256, 1_048_576)]
ThreadCount = Annotated[int | Literal["auto"], scalar.whole_or_auto(1)]
WorkerCount = Annotated[int | Literal["auto"], scalar.whole_or_auto(1, MAX_WORKERS)]
ParallelCount = Annotated[int | Literal["auto"], scalar.whole_or_auto(1, MAX_PARALLEL)]
KvBytes = Annotated[int | Literal["auto"], scalar.size_or_auto(MIN_KV_BYTES)]
CanarySeconds = Annotated[float | None, scalar.duration_or_off(1.0)]
LayerCount = Annotated[int | Literal["auto"], scalar.whole_or_auto(0)]
AutoSeconds = Annotated[float | Literal["auto"], scalar.duration_or_auto]
DrillTime = Annotated[WeekTime, scalar.week_time]
DrillShape = Annotated[str, scalar.one_of(*Shape)]
DrillSeconds = Annotated[float, scalar.duration_at_most(MAX_SECONDS)]
Share = Annotated[float, scalar.share]
Pause = Annotated[float, scalar.duration_or_zero]


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """Where the operations pages live."""

    listen: Address
    """The address of metrics, status and health."""


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """One application that may use the proxy."""

    name: str
    """What logs and metrics call it; unique."""
    key_sha256: Sha256Hex
    """The SHA-256 of its key, in hexadecimal."""


@dataclass(frozen=True, slots=True)
class CloudTimeouts:
    """How long an upstream may be silent. See `proxy.core.failover.Timeouts`; here one of them may be learnt."""

    connect_seconds: float = _USUAL.connect_seconds
    """DNS, TCP and TLS together."""
    first_content_seconds: AutoSeconds = "auto"
    """Of a stream; auto: see `proxy.core.patience`."""
    stall_seconds: float = _USUAL.stall_seconds
    """Between contents of a running stream."""
    answer_seconds: float = _USUAL.answer_seconds
    """Of an unstreamed request, to all of its answer."""

    @property
    def until_learnt(self) -> Timeouts:
        """As they are while nothing is known."""
        first = UNLEARNT_SECONDS if self.first_content_seconds == "auto" else self.first_content_seconds
        return Timeouts(self.connect_seconds, first, self.stall_seconds, self.answer_seconds)


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """One OpenAI-compatible service."""

    name: Identifier
    """What routes, headers and metrics call it; unique."""
    base_url: Url
    """Up to and with `/v1`, without a slash at the end."""
    api_key: Secret = field(default_factory=lambda: Secret(""))
    """Our key. Empty: see `client_key`."""
    client_key: Literal["forward", "drop"] = "forward"
    """What becomes of the client's own Authorization while `api_key` is empty."""
    headers: Mapping[HeaderName, Secret] = field(default_factory=lambda: MappingProxyType({}))
    """Extra request headers; the names in lower case."""
    models: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Public model name to this upstream's name for it; others go out unchanged."""
    timeouts: CloudTimeouts = field(default_factory=CloudTimeouts)
    """How long it may be silent."""
    reasoning_models: tuple[str, ...] = REASONING_MODELS
    """Patterns of those of its models that think before they speak."""
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    """When it counts as down, and as up again."""
    probe: bool = True
    """Whether a tiny real request finds out when it is well again."""
    check: bool = True
    """Whether its list of models, which is free, is asked for while it is idle or suspect."""
    prefill: Prefill | None = None
    """How it is asked to go on behind a text, by routes that resume with `all`; None: it cannot."""
    max_connections: int | None = None
    """Connections of one worker to it at a time; None: as many as there are requests."""

    @property
    def takes_client_key(self) -> bool:
        """Whether the client's own key goes there."""
        return not self.api_key and self.client_key == "forward"


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """The local model: started by us from `model`, or run by somebody else at `url`."""

    model: str = DEFAULT_MODEL
    """A name of the catalogue or the path of a GGUF; means nothing when `url` is given."""
    url: Url | None = None
    """An OpenAI-compatible server that you run yourself, with its `/v1` or its socket."""
    served_model: str | None = None
    """The model to ask that server for; given with `url` and only then."""
    prefill: Prefill | None = None
    """How the server at `url` is asked to go on behind a text; None: it cannot. Ours can in any case."""
    context: ContextTokens = 8192
    """Tokens of prompt and answer together."""
    threads: ThreadCount = "auto"
    """CPU threads of the model."""
    gpu_layers: LayerCount = "auto"
    """Layers to put on the GPU."""
    amx: Literal["auto", "on", "off"] = "auto"
    """Whether Intel's tile unit computes; auto: where the model and the build of llama.cpp are known to work."""
    parallel: ParallelCount = "auto"
    """Answers that are generated at once."""
    kv_memory_bytes: KvBytes = "auto"
    """Memory for what the model has read of running and kept prompts."""
    share_prefixes: bool = False
    """Whether the beginning of one client's prompt may serve another client."""
    queue: int = 256
    """Requests that may wait; the next one is refused."""
    pull: bool = True
    """Whether to fetch a catalogue model that is not on this machine yet."""
    convert: Literal["auto", "off"] = "auto"
    """Whether a file that is slow on this CPU is converted once."""
    standby: Standby = "hot"
    """How much of it is there while the upstreams are well."""
    prime: bool = True
    """Whether frequent system prompts are read before somebody needs the answer."""
    hedge: bool = True
    """Whether it starts beside an upstream that is oddly silent."""
    canary_seconds: CanarySeconds = 300.0
    """A token is generated so often, to see that it still can; None for never."""
    timeouts: Timeouts = LOCAL_TIMEOUTS
    """How long it may be silent."""
    heartbeat_seconds: float = 10.0
    """Silence of the model server after which it is killed and started anew."""
    hang_seconds: float = 60.0
    """Length of one step of llama.cpp after which it is killed and started anew."""


@dataclass(frozen=True, slots=True)
class RouteSettings:
    """Which upstreams answer for which models."""

    match: str
    """A pattern for the model's name, with `*`, `?` and `[…]`; case counts."""
    to: tuple[str, ...]
    """Names of upstreams in order of preference; `local` only at the end."""
    resume: Resume = "local"
    """Who goes on with a stream that breaks half way."""


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """Bounds on one request and on shutting down."""

    body_bytes: int = 32 * 2**20
    """The largest request body."""
    body_timeout_seconds: float = 30.0
    """Time for a client to send its body."""
    write_timeout_seconds: float = 60.0
    """Time for a client that does not read to read something."""
    deadline_seconds: float = 120.0
    """Time for a request, all its attempts included."""
    local_reserve_seconds: Pause = 30.0
    """The part of the deadline that is kept for the local model."""
    drain_seconds: Pause = 60.0
    """Time for running requests to end when the proxy stops."""


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What is written to standard error."""

    format: Literal["auto", "human", "json"] = "auto"
    """auto is human on a terminal and json elsewhere."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least urgent that is written."""


@dataclass(frozen=True, slots=True)
class ScheduledDrill:
    """One outage on purpose, every week."""

    at: DrillTime
    """When it begins, in local time."""
    shape: DrillShape
    """How they look dead."""
    upstream: tuple[str, ...]
    """Which ones; `all` means all of `upstreams`."""
    for_seconds: DrillSeconds
    """Its longest time."""
    share: Share = 1.0
    """Of the requests."""
    model: str | None = None
    """The only one, by the upstream's name for it; None means all models."""


@dataclass(frozen=True, slots=True)
class DrillSettings:
    """Outages on purpose."""

    allow: bool = False
    """Whether whoever reaches the operations pages may start one."""
    schedule: tuple[ScheduledDrill, ...] = ()
    """Those that begin by themselves, also where nobody else may start one."""


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file."""

    listen: Address = DEFAULT_LISTEN
    """Where clients connect."""
    admin: AdminSettings | None = None
    """None: the operations pages are answered on `listen`. See `admin_listen`."""
    workers: WorkerCount = 1
    """Processes that serve the API on one port; auto: one for each CPU that this process may use."""
    fast_lane: bool = True
    """Whether plain requests are answered without aiohttp's request handling."""
    open_access: bool = False
    """Whether anybody who reaches the port may use it."""
    clients: tuple[ClientSettings, ...] = ()
    """Who may use it; none: whoever reaches the port."""
    upstreams: tuple[UpstreamSettings, ...] = ()
    """In order of preference."""
    local: LocalSettings | None = LocalSettings()
    """None when switched off by `local: false`."""
    routes: tuple[RouteSettings, ...] = ()
    """The first match counts. See `effective_routes`."""
    limits: LimitSettings = LimitSettings()
    """Bounds."""
    drills: DrillSettings = DrillSettings()
    """Outages on purpose."""
    log: LogSettings = LogSettings()
    """Logging."""

    @property
    def admin_listen(self) -> Address | None:
        """An address for the operations pages alone, or None: they share `listen`, also when both keys say the same."""
        if self.admin is None or (self.admin.listen == self.listen and self.listen.port != 0):
            return None
        return self.admin.listen

    @property
    def default_route(self) -> RouteSettings:
        """For models that no route matches: all upstreams in order, then the local model."""
        upstreams = tuple(upstream.name for upstream in self.upstreams)
        return RouteSettings(match="*", to=upstreams if self.local is None else (*upstreams, LOCAL))

    @property
    def effective_routes(self) -> tuple[RouteSettings, ...]:
        """`routes` and, behind them, the default one."""
        return (*self.routes, self.default_route)
