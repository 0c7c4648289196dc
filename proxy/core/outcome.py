"""How an attempt ended, whose fault that was, and what it says about the upstream's health.

Classes come from exception types (translated in upstreams/transport.py) and from the status line, never from an
error's text: upstreams word the same failure in a hundred ways, and reword it in the middle of an outage.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from proxy.core.word import Word


class Kind(Word):
    """The closed set of ends. The values are metric labels and the words of `x-hotspare-reason`."""

    OK = "ok"
    CALLER_ERROR = "caller_error"
    CLIENT_GONE = "client_gone"
    NO_KEY = "no_key"
    DNS = "dns"
    CONNECT = "connect"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS = "tls"
    RESET = "reset"
    FIRST_CONTENT_TIMEOUT = "first_content_timeout"
    STALL = "stall"
    CUT = "cut"
    SERVER_ERROR = "server_error"
    RATE_LIMITED = "rate_limited"
    OUR_KEY = "our_key"
    BAD_ANSWER = "bad_answer"
    SLOW = "slow"
    NOT_NEEDED = "not_needed"
    DEADLINE = "deadline"
    CLIENT_DEADLINE = "client_deadline"
    UNAVAILABLE = "unavailable"
    BREAKER_OPEN = "breaker_open"


class Weight(Enum):
    """What an outcome weighs when the upstream's health is judged."""

    SUCCESS = "ends a streak of failures and counts in the ratio"
    HARD = "lengthens the streak and counts in the ratio"
    SOFT = "counts in the ratio only"
    NOTHING = "says nothing about the upstream"


WEIGHTS: Mapping[Kind, Weight] = MappingProxyType(
    {
        Kind.OK: Weight.SUCCESS,
        # The upstream read the request and refused it: it works, but a validation error proves nothing about the
        # model behind it. During the outage of 2024-12-04 the edge went on answering 4xx.
        Kind.CALLER_ERROR: Weight.NOTHING,
        Kind.CLIENT_GONE: Weight.NOTHING,
        # Nobody brought a key, so nothing was learnt but that one is wanted.
        Kind.NO_KEY: Weight.NOTHING,
        Kind.DNS: Weight.HARD,
        Kind.CONNECT: Weight.HARD,
        Kind.CONNECT_TIMEOUT: Weight.HARD,
        Kind.TLS: Weight.HARD,
        Kind.RESET: Weight.HARD,
        Kind.FIRST_CONTENT_TIMEOUT: Weight.HARD,
        Kind.STALL: Weight.HARD,
        Kind.CUT: Weight.HARD,
        Kind.SERVER_ERROR: Weight.HARD,
        # Too much was asked of a service that is otherwise well: not a streak, but half of all answers is an outage.
        Kind.RATE_LIMITED: Weight.SOFT,
        Kind.OUR_KEY: Weight.HARD,
        Kind.BAD_ANSWER: Weight.HARD,
        # It was suspect, took far longer than such an answer usually does, and somebody else had one by then.
        Kind.SLOW: Weight.HARD,
        # Another one answered first.
        Kind.NOT_NEEDED: Weight.NOTHING,
        Kind.DEADLINE: Weight.HARD,
        # A client that waits for three seconds at most must not close an upstream for those that wait for sixty.
        Kind.CLIENT_DEADLINE: Weight.NOTHING,
        # These two happened on our side of the wire.
        Kind.UNAVAILABLE: Weight.NOTHING,
        Kind.BREAKER_OPEN: Weight.NOTHING,
    }
)


# Before Python 3.12 a member costs five times as much to reach through its class as through a name of its own.
_OK, _CALLER_ERROR = Kind.OK, Kind.CALLER_ERROR
_SUCCESS = Weight.SUCCESS


class KeyOwner(Enum):
    """Whose key an attempt carried: it decides who is to blame when the key is refused."""

    UPSTREAM = "the upstream's configured key"
    CLIENT = "the client's own key"
    NOBODY = "no key at all, or a placeholder that SDKs insist on"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The classified end of an attempt.

    `detail` is for logs and error messages: an exception's class or a status, never a key and never prompt text.
    """

    kind: Kind
    status: int | None = None
    retry_after_seconds: float | None = None
    detail: str = ""

    @property
    def weight(self) -> Weight:
        """What this outcome says about the upstream."""
        return _SUCCESS if self.kind is _OK else WEIGHTS[self.kind]

    @property
    def is_answer(self) -> bool:
        """Whether the client gets this upstream's answer: a success, or a refusal that the client has to see."""
        return self.kind is _OK or self.kind is _CALLER_ERROR


OK = Outcome(Kind.OK, 200)
"""What nearly every attempt ends with."""

_KEY_REFUSED = frozenset({401, 402, 403})


def kind_of_status(status: int, key_owner: KeyOwner) -> Kind:
    """Classify a status line (RFC 9110, section 15, and what clouds make of it: 529 overloaded, 530 origin down).

    A 3xx from a completion endpoint is a fault: the OpenAI API has none, and following one could carry a key away.
    """
    if 200 <= status < 300:
        return Kind.OK
    if status in _KEY_REFUSED:
        return _KIND_OF_REFUSED_KEY[key_owner]
    if status == 429:
        return Kind.RATE_LIMITED
    if 400 <= status < 500:
        return Kind.CALLER_ERROR
    return Kind.SERVER_ERROR if status >= 500 else Kind.BAD_ANSWER


_KIND_OF_REFUSED_KEY: Mapping[KeyOwner, Kind] = MappingProxyType(
    {KeyOwner.UPSTREAM: Kind.OUR_KEY, KeyOwner.CLIENT: Kind.CALLER_ERROR, KeyOwner.NOBODY: Kind.NO_KEY}
)
