"""Which metrics there are. Label values come from closed sets: configured names and our own enums.

Help texts name the OpenTelemetry GenAI metric that says the same, where there is one.
"""

from dataclasses import dataclass

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 300.0)
"""From a refusal that is answered at once to the longest streams; dense where people wait."""

CONNECTION_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""From a neighbour's handshake to the longest that one waits for a far one."""


@dataclass(frozen=True, slots=True)
class Family:
    """A metric. Counters are exposed with `_total` after the name."""

    name: str
    text: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HistogramFamily(Family):
    """A metric of observations. `bounds` are the upper bounds of its buckets; the last, infinity, is implied."""

    bounds: tuple[float, ...] = SECONDS


REQUESTS = Family(
    "hotspare_requests",
    "Requests from clients, by how they ended for the client.",
    ("endpoint", "result", "upstream"),
)
REQUEST_DURATION = HistogramFamily(
    "hotspare_request_duration_seconds",
    "From the head of a request to the end of its answer (OpenTelemetry: gen_ai.client.operation.duration).",
    ("endpoint", "upstream"),
)
TIME_TO_FIRST_CONTENT = HistogramFamily(
    "hotspare_time_to_first_content_seconds",
    "From a streamed request's head to its first content (OpenTelemetry: gen_ai.server.time_to_first_token).",
    ("endpoint", "upstream"),
)
ATTEMPTS = Family("hotspare_attempts", "Exchanges with upstreams, by outcome.", ("upstream", "outcome"))
ATTEMPT_DURATION = HistogramFamily(
    "hotspare_attempt_duration_seconds",
    "From the start of an exchange with an upstream to its end.",
    ("upstream",),
)
FIRST_BYTE = HistogramFamily(
    "hotspare_first_byte_seconds",
    "From a request to an upstream to the first byte of its answer.",
    ("upstream",),
)
CONNECTIONS_OPENED = Family(
    "hotspare_connections_opened",
    "Connections to upstreams that had to be opened, because none was idle.",
    ("upstream",),
)
CONNECTION_PHASE = HistogramFamily(
    "hotspare_connection_phase_seconds",
    "What opening a connection to an upstream took, by phase: dns, connect, tls.",
    ("upstream", "phase"),
    CONNECTION_SECONDS,
)
FAILOVERS = Family(
    "hotspare_failovers",
    "Requests that another upstream answered than the one before it in the route, and why.",
    ("from_upstream", "to_upstream", "reason"),
)
RESUMED_STREAMS = Family(
    "hotspare_resumed_streams",
    "Streams that broke after their first content, and with which another upstream went on.",
    ("from_upstream", "to_upstream"),
)
DEGRADED_REQUESTS = Family(
    "hotspare_degraded_requests",
    "Requests answered without something that they had asked for.",
    ("upstream", "need"),
)
BREAKER_TRANSITIONS = Family("hotspare_breaker_transitions", "Changes of circuit breakers.", ("upstream", "state"))
SUSPICIONS = Family(
    "hotspare_suspicions",
    "Reasons to watch an upstream that still serves: at most one a minute is told for each model.",
    ("upstream", "doubt"),
)
BREAKERS = Family(
    "hotspare_breakers", "Circuit breakers, one for each model asked for, in each state.", ("upstream", "state")
)
MODEL_SERVER_PHASE = Family("hotspare_model_server_phase", "1 for the phase that the model server is in.", ("phase",))
MODEL_SERVER_STARTS = Family("hotspare_model_server_starts", "Starts of the model server.")
WORKERS = Family("hotspare_workers", "Workers that serve, in each phase.", ("phase",))
WORKER_RESTARTS = Family(
    "hotspare_worker_restarts", "Workers that ended without having been asked to: each is replaced."
)
FAULTS = Family("hotspare_faults", "Exceptions that nobody expected: please report them.", ("where",))
IN_FLIGHT = Family("hotspare_requests_in_flight", "Requests being served.")
BUILD_INFO = Family("hotspare_build_info", "Always 1.", ("version",))

COUNTERS = (
    REQUESTS,
    ATTEMPTS,
    CONNECTIONS_OPENED,
    FAILOVERS,
    RESUMED_STREAMS,
    DEGRADED_REQUESTS,
    BREAKER_TRANSITIONS,
    SUSPICIONS,
    MODEL_SERVER_STARTS,
    WORKER_RESTARTS,
    FAULTS,
)
HISTOGRAMS = (REQUEST_DURATION, TIME_TO_FIRST_CONTENT, ATTEMPT_DURATION, FIRST_BYTE, CONNECTION_PHASE)
LEVELS = (IN_FLIGHT,)
PEAKS = (BREAKERS, MODEL_SERVER_PHASE, WORKERS, BUILD_INFO)
