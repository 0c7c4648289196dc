"""What the failover machine says, and the limits that go with it. See core/failover.py."""

from dataclasses import dataclass
from math import inf

import msgspec

from proxy.core.candidates import Candidate
from proxy.core.outcome import Kind, Outcome

HEDGE_SHARE = 4
"""One part in so many of what is too much silence is odd already: the local model has its first words by the limit."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long one upstream may be silent.

    connect: DNS, TCP and TLS together. 2 s is 20 times a transatlantic handshake, and one SYN retransmission (1 s).
    first_content: of a stream, from the request to the first text, tool call or reasoning. Clouds answer within 1-3 s;
        in the slow outages on record (2024-12-04, 2025-06-10) it took 30-40 s. 10 s parts the two.
    stall: between contents of a running stream. Healthy models pause for less than 2 s; reasoning ones send
        (empty) deltas while they think.
    answer: of an unstreamed request to an upstream that is suspect, to all of its answer, where the local model has one
        by then. A thousand tokens take a cloud 10-20 s. One that is not suspect may take until the deadline: nothing
        tells a long answer from none.
    """

    connect_seconds: float = 2.0
    first_content_seconds: float = 10.0
    stall_seconds: float = 15.0
    answer_seconds: float = 30.0


class Start(msgspec.Struct, frozen=True, gc=False):
    """Send the request to `candidate`. All `_at` are monotonic instants."""

    candidate: Candidate
    number: int
    connect_seconds: float
    limit_at: float
    """By then a stream has to show its first content, and an unstreamed answer, which has none, to be complete."""
    stall_seconds: float
    late_kind: Kind
    """What it is called when the attempt runs past its limit: whose limit that is decides whose fault it is."""
    is_forced: bool = False
    """Panic: every candidate was refused or failed, so this one is tried although its breaker is open."""
    is_resuming: bool = False
    """The client has half an answer: go on behind it."""
    is_hedge: bool = False
    """Beside the one that runs: keep back what it says."""
    begin_at: float = 0.0
    """Not before."""
    latest_at: float = inf
    """What `limit_at` would be if silence were no fault, and `latest_kind` what that would be called."""
    latest_kind: Kind = Kind.DEADLINE
    hedge_at: float = inf
    """If it is silent until then, say that it is overdue."""
    answer_seconds: float = inf
    """How long an unstreamed answer may take in case of doubt."""
    yield_at: float = inf
    """If an unstreamed answer is not there by then, say that it has to yield."""


def learnt(start: Start, limit_seconds: float | None, *, is_suspect: bool) -> Start:
    """The same start, with what is known of its upstream by now.

    Args:
        start: of a candidate that is no understudy and does not resume.
        limit_seconds: from the beginning to the first content; None where it is fixed, or where there is none.
        is_suspect: whether there are doubts: then the understudy starts at once, and an unstreamed answer has to
            yield to its answer when the time for that is over.

    """
    limit_at, late_kind, hedge_at, yield_at = start.limit_at, start.late_kind, start.hedge_at, start.yield_at
    if limit_seconds is not None:
        limit_at, late_kind = start.begin_at + limit_seconds, Kind.FIRST_CONTENT_TIMEOUT
        if limit_at >= start.latest_at:
            limit_at, late_kind = start.latest_at, start.latest_kind
        hedge_at = start.begin_at + limit_seconds / HEDGE_SHARE if hedge_at < inf else inf
    if is_suspect and hedge_at < inf:
        hedge_at, yield_at = start.begin_at, start.begin_at + start.answer_seconds
    return msgspec.structs.replace(start, limit_at=limit_at, late_kind=late_kind, hedge_at=hedge_at, yield_at=yield_at)


@dataclass(frozen=True, slots=True)
class Commit:
    """Send the client what was held back, and all that follows."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing until the next fact."""


WAIT = Wait()


@dataclass(frozen=True, slots=True)
class Promote:
    """The understudy is the running attempt from now on, with all that it has said. The other one, if it still runs,
    was too slow.
    """


PROMOTE = Promote()


@dataclass(frozen=True, slots=True)
class Finish:
    """The client has its answer, or gets it now whole."""


FINISH = Finish()


@dataclass(frozen=True, slots=True)
class BreakOff:
    """The client holds half an answer and nobody can continue it: say so, and never end cleanly."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Tried:
    """One candidate that did not answer, and why not."""

    upstream: str
    kind: Kind
    status: int | None = None

    def __str__(self) -> str:
        return f"{self.upstream}: {self.kind}" + (f" {self.status}" if self.status else "")


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Nothing is left. `retry_after_seconds` is when the first of the candidates may be asked again."""

    tried: tuple[Tried, ...]
    retry_after_seconds: float


Action = Start | Commit | Wait | Promote | Finish | BreakOff | GiveUp
