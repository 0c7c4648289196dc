"""What the failover machine says, and the limits that go with it. See core/failover.py."""

from dataclasses import dataclass, field
from math import inf

import msgspec

from proxy.core.candidates import Candidate
from proxy.core.outcome import Kind, Outcome

HEDGE_SHARE = 4
"""One part in so many of what is too much silence is odd already: the local model has its first words by the limit."""

LOOK_SECONDS = 5.0
"""So long after its beginning, and so often once it is late, somebody looks whether an unstreamed answer is late. Most
are there by then, so that they cost no look at all; and nothing that takes less is worth a second model's work."""
LATE = 2.0
"""Times as long as 95 of 100 such answers take: late enough for an understudy. One in a hundred or so gets one for
nothing, as the lengths of answers spread by much more than the first contents of streams do."""
TOO_LATE = 4.0
"""Late enough to yield, where the upstream is suspect. The same multiple as of first contents (core/patience.py)."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long one upstream may be silent.

    connect: DNS, TCP and TLS together. 2 s is 20 times a transatlantic handshake, and one SYN retransmission (1 s).
    first_content: of a stream, from the request to the first text, tool call or reasoning. Clouds answer within 1-3 s;
        in the slow outages on record (2024-12-04, 2025-06-10) it took 30-40 s. 10 s parts the two.
    stall: between contents of a running stream. Healthy models pause for less than 2 s; reasoning ones send
        (empty) deltas while they think.
    answer: of an unstreamed request to an upstream that is suspect, to all of its answer, where the local model has one
        by then. A thousand tokens take a cloud 10-20 s. It is less where such answers usually take less, see
        `reconsidered`. One that is not suspect may take until the deadline: nothing tells a long answer from none.
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
    """If it is silent until then, say so. Before `begin_at` where the wait for that is used."""
    answer_seconds: float = inf
    """How long an unstreamed answer may take in case of doubt."""
    yield_at: float = inf
    """If an unstreamed answer is not there by then, say so."""


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
        if start.begin_at < hedge_at < inf:  # else it is due before the start, see `Start.hedge_at`
            hedge_at = start.begin_at + limit_seconds / HEDGE_SHARE
    if is_suspect and hedge_at < inf:
        hedge_at, yield_at = min(start.begin_at, hedge_at), start.begin_at + start.answer_seconds
    return msgspec.structs.replace(start, limit_at=limit_at, late_kind=late_kind, hedge_at=hedge_at, yield_at=yield_at)


def reconsidered(start: Start, usual_seconds: float | None, now: float, *, is_suspect: bool) -> Start:
    """The start of an unstreamed answer that has not come by `now`, with what is known of its upstream by then.

    Args:
        start: of a candidate that is no understudy.
        usual_seconds: by then 95 of 100 such answers are there; None if that is not known.
        now: as all `_at` a monotonic instant.
        is_suspect: whether there are doubts by now.

    Returns:
        A start that is overdue if its `hedge_at` has passed, and has to yield if its `yield_at` has.

    """
    wait_seconds = (start.latest_at - start.begin_at) * (1 - 1 / HEDGE_SHARE)
    answer_seconds = start.answer_seconds
    if usual_seconds is not None:
        wait_seconds = min(wait_seconds, max(usual_seconds * LATE, LOOK_SECONDS))
        answer_seconds = min(answer_seconds, max(usual_seconds * TOO_LATE, LOOK_SECONDS))
    hedge_at = start.begin_at if is_suspect else start.begin_at + wait_seconds
    if start.hedge_at <= start.begin_at:
        hedge_at = start.hedge_at  # there were doubts from the beginning
    yield_at = start.begin_at + answer_seconds if is_suspect else now + LOOK_SECONDS
    return msgspec.structs.replace(start, hedge_at=hedge_at, yield_at=yield_at)


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
    model: str = field(default="", compare=False)
    """The upstream's name for it, for whoever counts by model; empty where no one model was asked."""

    def __str__(self) -> str:
        return f"{self.upstream}: {self.kind}" + (f" {self.status}" if self.status else "")


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Nothing is left. `retry_after_seconds` is when the first of the candidates may be asked again."""

    tried: tuple[Tried, ...]
    retry_after_seconds: float


Action = Start | Commit | Wait | Promote | Finish | BreakOff | GiveUp
