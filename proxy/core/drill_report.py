"""What a drill is, and what is told of it."""

from msgspec import Struct

from proxy.core.word import Word


class Shape(Word):
    """The closed set of ways in which an upstream can look dead."""

    REFUSED = "refused"
    """Nobody listens."""
    DNS = "dns"
    """The name does not resolve."""
    TLS = "tls"
    """The handshake fails."""
    CONNECT_HANG = "connect_hang"
    """No answer to the attempt to connect."""
    RESET = "reset"
    """The connection is reset before the answer."""
    SILENT = "silent"
    """The request is taken and never answered."""
    HEADERS_THEN_SILENT = "headers_then_silent"
    """Status 200, then nothing."""
    ROLE_THEN_SILENT = "role_then_silent"
    """The role chunk, which is no content yet, then nothing."""
    KEEPALIVES_ONLY = "keepalives_only"
    """A comment every second, and nothing else."""
    STATUS_401 = "status_401"
    """Our key is refused, as are 402 (no money) and 403."""
    STATUS_402 = "status_402"
    STATUS_403 = "status_403"
    STATUS_500 = "status_500"
    STATUS_502 = "status_502"
    STATUS_503 = "status_503"
    STATUS_504 = "status_504"
    STATUS_429 = "status_429"
    STATUS_429_BARE = "status_429_bare"
    """Without Retry-After."""
    STATUS_500_ONCE = "status_500_once"
    """To one attempt; well before and behind."""
    STATUS_429_ONCE = "status_429_once"
    FLAPPING = "flapping"
    """Status 503 for five seconds, and well for five, again and again."""
    RELAPSE = "relapse"
    """Status 503 in the first third of the time and in the last, and well between."""
    DECAY = "decay"
    """Status 503 to none of the requests at first, then to more and more of them, and to the whole share at the end."""
    HTML = "html"
    """A web page under status 200."""
    ERROR_BODY = "error_body"
    """An error object under status 200."""
    TRUNCATED = "truncated"
    """Some of an answer's JSON, complete as far as HTTP goes."""
    WRONG_LENGTH = "wrong_length"
    """An answer that is shorter than its Content-Length, then the end of the connection."""
    CUT = "cut"
    """The real answer, whose connection ends behind its second piece."""
    CUT_BY_RESET = "cut_by_reset"
    """Is reset there."""
    CUT_IN_EVENT = "cut_in_event"
    """Ends behind half an event more; as `cut` where the answer is not streamed."""
    CUT_IN_CHARACTER = "cut_in_character"
    """Ends behind the first bytes of a character more."""
    STALL = "stall"
    """The real answer, which stops behind its second piece."""
    ERROR_EVENT = "error_event"
    """The real answer, with an error behind its second piece."""
    MALFORMED = "malformed"
    """The real answer, with half an event behind its second piece."""
    NO_FINISH = "no_finish"
    """The real answer, which ends well behind its second piece, but has not finished."""
    NO_DONE = "no_done"
    """The real answer, all of it but for `[DONE]`; as it is where it is not streamed."""
    SLOW_START = "slow_start"
    """The real answer, half a minute late."""
    SLOW_TOKENS = "slow_tokens"
    """The real answer, one event a second; as above where it is not streamed."""


CUTS = frozenset({Shape.CUT, Shape.CUT_BY_RESET, Shape.CUT_IN_EVENT, Shape.CUT_IN_CHARACTER})

MIDWAY = CUTS | {Shape.STALL, Shape.ERROR_EVENT, Shape.MALFORMED, Shape.NO_FINISH, Shape.NO_DONE}
"""Those for which the real upstream is asked, and its answer broken."""

HARMLESS = frozenset({Shape.NO_DONE})
"""Those in which the upstream leaves nobody in the lurch: what they lack is put right on the way."""

SLOW = frozenset({Shape.SLOW_START, Shape.SLOW_TOKENS})
"""Those for which the real upstream is asked, and its answer kept back."""


class End(Word):
    """Why a drill is over."""

    TIME = "time"
    ASKED = "asked"
    FAILURE = "failure"
    """A request failed, or nobody is left who could answer."""


class Drill(Struct, frozen=True):
    """What to play. `share` is that of the requests, above 0 up to 1."""

    upstreams: tuple[str, ...]
    """Those that look dead, all in the same moment and for the same requests."""
    shape: Shape
    share: float
    seconds: float
    model: str | None = None
    """By the name that the upstreams have for it; None means all models."""

    def covers(self, upstream: str, model: str) -> bool:
        """Whether it is about that model at that upstream."""
        return upstream in self.upstreams and self.model in (None, model)


class Report(Struct, frozen=True, kw_only=True):
    """What came of a drill so far. All times are in seconds, None for what has not happened."""

    number: int
    upstreams: tuple[str, ...]
    model: str | None
    """The only one that was drilled; None if all were."""
    shape: Shape
    share: float
    stated_seconds: float
    ran_seconds: float
    end: End | None
    """None while it runs."""
    attempts_broken: int
    """Exchanges that the drill broke, those of the prober included."""
    affected: int
    """Requests that an upstream left in the lurch: an attempt failed, or its breaker refused them."""
    rescued: int
    failed: int
    left: int
    """Affected, and their clients were gone before anybody could answer."""
    detect_seconds: float | None
    """From the first attempt that broke to the first breaker that opened."""
    rescue_seconds: float | None
    """From the first request that was rescued to its first content by somebody else; the whole answer, if it was not
    streamed."""
    mean_rescue_seconds: float | None
    longest_rescue_seconds: float | None
    first_answer_seconds: float | None
    """From the end of the drill to the next answer that one of the upstreams gave to a client."""
    return_seconds: float | None
    """From the end of the drill to the moment when no breaker of the upstreams held back anything more."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.end is not None and self.return_seconds is not None
