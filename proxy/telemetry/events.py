"""The facts. Policy never hangs on them: whoever publishes one has already acted.

They are msgspec Structs: immutable like frozen dataclasses, but made in a fifteenth of the time, and unseen by the
cyclic collector. Nothing in them points back at them.
"""

from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct

from proxy.core.action import Tried
from proxy.core.breaker import State
from proxy.core.drill_report import Drill, Report
from proxy.core.outcome import Kind, Outcome
from proxy.core.phases import Phases
from proxy.core.suspicion import Doubt
from proxy.core.word import Word


class Endpoint(Word):
    """The closed set of what clients ask for; a metric label. The values are paths below /v1."""

    CHAT = "chat/completions"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    MODELS = "models"
    OTHER = "other"


class Result(Word):
    """How a request ended for the client; a metric label."""

    ANSWERED = "answered"
    CALLER_ERROR = "caller_error"
    UNAVAILABLE = "unavailable"
    BROKEN_OFF = "broken_off"
    CLIENT_GONE = "client_gone"
    FAULT = "fault"
    """Our own: an exception that nobody expected."""


class AttemptEnded(Struct, frozen=True, gc=False):
    """One exchange with one upstream is over. Times in seconds; `phases` is None where nothing was sent."""

    request_id: str
    upstream: str
    number: int
    outcome: Outcome
    seconds: float
    first_content_seconds: float | None
    upstream_request_id: str | None
    model: str = ""
    """The name that the upstream knows; it comes from clients, so it is no metric label."""
    phases: Phases | None = None

    @property
    def first_byte_seconds(self) -> float | None:
        """From the request to the first byte of the answer."""
        return self.phases.first_byte if self.phases else None


class RequestEnded(Struct, frozen=True, gc=False):
    """A client's request is over. Times in seconds; `upstream` is who answered, if anybody, as which `model` of its
    own, and `resumed_by` who went on when that stream had broken.
    """

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
    resumed_by: str | None = None
    model: str | None = None


class BreakerChanged(Struct, frozen=True, gc=False):
    """A breaker went from one state to another. `cause` is None when only time has passed, `open_seconds` (how long it
    stays open) is None unless it opened.
    """

    upstream: str
    model: str
    before: State
    after: State
    cause: Kind | None
    open_seconds: float | None = None


class UpstreamSuspected(Struct, frozen=True, gc=False):
    """There is reason to watch an upstream that still serves; told at most once a minute while it lasts. `model` is
    empty where the doubt is about all of them.
    """

    upstream: str
    model: str
    doubt: Doubt


class Phase(StrEnum):
    """What the model server is doing; a metric label."""

    STARTING = "starting"
    FETCHING = "fetching"
    STANDBY = "standby"
    """At rest until it is wanted."""
    CONVERTING = "converting"
    """Its file, into a format that is faster on this machine; done once."""
    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"
    DOWN = "down"


class ModelServerChanged(Struct, frozen=True, gc=False):
    """The model server entered a phase. `detail` says why, for people."""

    phase: Phase
    detail: str = ""


class FaultCaught(Struct, frozen=True):
    """An exception that nobody expected was caught at a boundary. `where` names the boundary.

    The collector sees this one: an exception holds frames, and they may hold it.
    """

    where: str
    error: BaseException


class WorkerPhase(StrEnum):
    """What one of the proxy's workers is doing; a metric label."""

    STARTED = "started"
    READY = "ready"
    DRAINING = "draining"
    ENDED = "ended"


class WorkerChanged(Struct, frozen=True, gc=False):
    """A worker entered a phase. `detail` says why, for people."""

    number: int
    phase: WorkerPhase
    detail: str = ""


class DrillChanged(Struct, frozen=True, gc=False):
    """A drill began, ended, or is over: what it broke is back."""

    report: Report


class DrillSkipped(Struct, frozen=True, gc=False):
    """A drill was due and did not begin. `why` is for people."""

    drill: Drill
    why: str


Event = (
    AttemptEnded
    | RequestEnded
    | BreakerChanged
    | UpstreamSuspected
    | ModelServerChanged
    | FaultCaught
    | WorkerChanged
    | DrillChanged
    | DrillSkipped
)
Emit = Callable[[Event], None]
