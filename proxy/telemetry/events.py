"""The facts. Policy never hangs on them: whoever publishes one has already acted."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from proxy.core.breaker import State
from proxy.core.failover import Tried
from proxy.core.outcome import Kind, Outcome


class Endpoint(StrEnum):
    """The closed set of what clients ask for; a metric label. The values are paths below /v1."""

    CHAT = "chat/completions"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    MODELS = "models"
    OTHER = "other"


class Result(StrEnum):
    """How a request ended for the client; a metric label."""

    ANSWERED = "answered"
    CALLER_ERROR = "caller_error"
    UNAVAILABLE = "unavailable"
    BROKEN_OFF = "broken_off"
    CLIENT_GONE = "client_gone"
    FAULT = "fault"
    """Our own: an exception that nobody expected."""


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """One exchange with one upstream is over. Times in seconds."""

    request_id: str
    upstream: str
    number: int
    outcome: Outcome
    seconds: float
    first_content_seconds: float | None
    upstream_request_id: str | None


@dataclass(frozen=True, slots=True)
class RequestEnded:
    """A client's request is over. Times in seconds; `upstream` is who answered, if anybody."""

    request_id: str
    client: str
    endpoint: Endpoint
    method: str
    is_stream: bool
    result: Result
    status: int
    upstream: str | None
    attempts: int
    tried: tuple[Tried, ...]
    losses: tuple[str, ...]
    seconds: float
    first_content_seconds: float | None


@dataclass(frozen=True, slots=True)
class BreakerChanged:
    """A breaker went from one state to another. `cause` is None when only time has passed."""

    upstream: str
    model: str
    before: State
    after: State
    cause: Kind | None


class Phase(StrEnum):
    """What the model server is doing; a metric label."""

    STARTING = "starting"
    FETCHING = "fetching"
    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class ModelServerChanged:
    """The model server entered a phase. `detail` says why, for people."""

    phase: Phase
    detail: str = ""


@dataclass(frozen=True, slots=True)
class FaultCaught:
    """An exception that nobody expected was caught at a boundary. `where` names the boundary."""

    where: str
    error: BaseException


Event = AttemptEnded | RequestEnded | BreakerChanged | ModelServerChanged | FaultCaught
Emit = Callable[[Event], None]


def fan_out(*sinks: Emit) -> Emit:
    """One publisher's end for many sinks."""

    def emit(event: Event) -> None:
        for sink in sinks:
            sink(event)

    return emit
