"""What happens during a drill and after it, until the upstream is back: facts in, a report out."""

from enum import Enum
from typing import NamedTuple

from proxy.core.action import Tried
from proxy.core.breaker import State
from proxy.core.drill_report import Drill, End, Report
from proxy.core.outcome import Outcome

_LINGER_SECONDS = 10.0
"""After its end, and with the upstream back: as long as a first content may take. Requests of the drill still end."""
_PATIENCE_SECONDS = 900.0
"""After its end in any case. What goes wrong later has other causes."""


class Fate(Enum):
    """How a request ended for its client."""

    ANSWERED = "with an answer, be it a refusal of the request itself"
    FAILED = "without, or with half of one"
    LEFT = "unknown: the client was gone"


class RequestFact(NamedTuple):
    """A request is over. `seconds` is the time to its first content, or to its end where it was not streamed."""

    request_id: str
    upstream: str | None
    tried: tuple[Tried, ...]
    resumed_by: str | None
    fate: Fate
    seconds: float


class Record:
    """One drill. All `now` and `_at` are monotonic instants."""

    def __init__(self, number: int, drill: Drill, began_at: float) -> None:
        self.number = number
        self.drill = drill
        self.ends_at = began_at + drill.seconds
        self.end: End | None = None
        self.began_at = began_at
        self._ended_at: float | None = None
        self._broken_at: float | None = None
        self._detected_at: float | None = None
        self._returned_at: float | None = None
        self._answered_at: float | None = None
        self._ill: set[str] = set()
        self._lost: dict[str, float] = {}
        """What a request that still runs has lost at this upstream, in seconds."""
        self._resumed: dict[str, float] = {}
        """When one that still runs was gone on with, in seconds from its beginning."""
        self._broken = 0
        self._fates = dict.fromkeys(Fate, 0)
        self._rescues: list[float] = []

    @property
    def failed(self) -> int:
        """Requests that nobody answered."""
        return self._fates[Fate.FAILED]

    @property
    def is_over(self) -> bool:
        """Whether it has ended and the upstream is back."""
        return self._returned_at is not None

    def is_closed(self, now: float) -> bool:
        """Whether what happens now has nothing to do with it any more."""
        if self._ended_at is None:
            return False
        return now >= self._ended_at + (_LINGER_SECONDS if self.is_over else _PATIENCE_SECONDS)

    def broke(self, now: float) -> None:
        """An attempt was broken."""
        self._broken += 1
        if self._broken_at is None:
            self._broken_at = now

    def ended(self, now: float, end: End) -> None:
        """The drill is over."""
        self.end, self._ended_at = end, now
        self._look_whether_back(now)

    def breaker(self, upstream: str, model: str, state: State, now: float) -> None:
        """A breaker went to `state`."""
        if upstream != self.drill.upstream:
            return
        if state is State.OPEN and self._detected_at is None and self.end is None:
            self._detected_at = now
        if state is State.CLOSED:
            self._ill.discard(model)
        else:
            self._ill.add(model)
        self._look_whether_back(now)

    def attempt(
        self, request_id: str, upstream: str, outcome: Outcome, seconds: float, content_seconds: float | None
    ) -> None:
        """An attempt ended; `content_seconds` is from its beginning to its first content."""
        if upstream == self.drill.upstream:
            if not outcome.is_answer:
                self._lost[request_id] = self._lost.get(request_id, 0.0) + seconds
        elif outcome.is_answer and content_seconds is not None and request_id in self._lost:
            self._resumed[request_id] = self._lost[request_id] + content_seconds

    def request(self, fact: RequestFact, now: float) -> None:
        """A request ended."""
        self._lost.pop(fact.request_id, None)
        resumed_seconds = self._resumed.pop(fact.request_id, None)
        if self._is_affected(fact):
            self._fates[fact.fate] += 1
            if fact.fate is Fate.ANSWERED:
                self._note_rescue(resumed_seconds if fact.resumed_by else fact.seconds)
        elif self.end is not None and self._answered_at is None and fact.upstream == self.drill.upstream:
            self._answered_at = now

    def _is_affected(self, fact: RequestFact) -> bool:
        """A stream that breaks after its first content carries the name of who began it."""
        name = self.drill.upstream
        was_tried = any(tried.upstream == name for tried in fact.tried)
        is_broken = fact.upstream == name and (fact.resumed_by is not None or fact.fate is Fate.FAILED)
        return was_tried or is_broken

    def _note_rescue(self, seconds: float | None) -> None:
        """First, longest, sum and number: a drill on a busy proxy rescues a million requests."""
        if seconds is None:
            return
        first, longest, total, count = self._rescues or (seconds, 0.0, 0.0, 0.0)
        self._rescues = [first, max(longest, seconds), total + seconds, count + 1]

    def _look_whether_back(self, now: float) -> None:
        if self.end is not None and not self._ill and self._returned_at is None:
            self._returned_at = now

    def report(self, now: float) -> Report:
        """All that is known by now."""
        ended_at = self._ended_at
        first, longest, total, count = self._rescues or (None, None, 0.0, 0.0)
        return Report(
            number=self.number,
            upstream=self.drill.upstream,
            shape=self.drill.shape,
            share=self.drill.share,
            stated_seconds=self.drill.seconds,
            ran_seconds=(now if ended_at is None else ended_at) - self.began_at,
            end=self.end,
            attempts_broken=self._broken,
            affected=sum(self._fates.values()),
            rescued=self._fates[Fate.ANSWERED],
            failed=self.failed,
            left=self._fates[Fate.LEFT],
            detect_seconds=_between(self._broken_at, self._detected_at),
            rescue_seconds=first,
            mean_rescue_seconds=total / count if count else None,
            longest_rescue_seconds=longest,
            first_answer_seconds=_between(ended_at, self._answered_at),
            return_seconds=_between(ended_at, self._returned_at),
        )


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else end - start
