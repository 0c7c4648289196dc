"""What happens during a drill and after it, until the upstreams are back: facts in, findings out."""

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from proxy.core.action import Tried
from proxy.core.breaker import State
from proxy.core.drill_findings import Findings
from proxy.core.drill_report import Drill, End
from proxy.core.drill_run import Run
from proxy.core.outcome import Outcome


class Fate(Enum):
    """How a request ended for its client."""

    ANSWERED = "with an answer, be it a refusal of the request itself"
    FAILED = "without, or with half of one"
    LEFT = "unknown: the client was gone"


class AttemptFact(NamedTuple):
    """An attempt is over. `content_seconds` is from its beginning to its first content, if there was any."""

    request_id: str
    upstream: str
    model: str
    outcome: Outcome
    seconds: float
    content_seconds: float | None


class RequestFact(NamedTuple):
    """A request is over. `upstream` has begun the answer, as its `model`, if anybody has; `seconds` is the time to its
    first content, or to its end where it was not streamed.
    """

    request_id: str
    upstream: str | None
    model: str
    tried: tuple[Tried, ...]
    resumed_by: str | None
    fate: Fate
    seconds: float


class Record(Run):
    """One drill, as one process sees it."""

    def __init__(self, number: int, drill: Drill, began_at: float) -> None:
        super().__init__(number, drill, began_at)
        self._findings = Findings()
        self._ill: set[tuple[str, str]] = set()
        self._lost: dict[str, float] = {}
        """What a request that still runs has lost at these upstreams, in seconds."""
        self._resumed: dict[str, float] = {}
        """When one that still runs was gone on with, in seconds from its beginning."""

    @property
    def findings(self) -> Findings:
        """Grows as the drill goes on."""
        return self._findings

    @property
    def has_broken(self) -> bool:
        """Whether an attempt was broken."""
        return self._findings.broken_at is not None

    @property
    def failed(self) -> int:
        """Requests that nobody answered."""
        return self._findings.failed

    def broke(self, now: float) -> None:
        """An attempt was broken."""
        self._findings.broken += 1
        if self._findings.broken_at is None:
            self._findings.broken_at = now

    def ended(self, now: float, end: End) -> None:
        """The drill is over."""
        super().ended(now, end)
        self._look_whether_back(now)

    def held_back(self, ill: Iterable[tuple[str, str]], now: float) -> None:
        """These are all models, each with its upstream before it, whose breakers are not closed now."""
        self._ill = {each for each in ill if self.drill.covers(*each)}
        self._look_whether_back(now)

    def breaker(self, upstream: str, model: str, state: State, now: float) -> None:
        """A breaker went to `state`."""
        if not self.drill.covers(upstream, model):
            return
        if state is State.OPEN and self._findings.detected_at is None and self.end is None:
            self._findings.detected_at = now
        if state is State.CLOSED:
            self._ill.discard((upstream, model))
        else:
            self._ill.add((upstream, model))
        self._look_whether_back(now)

    def attempt(self, fact: AttemptFact) -> None:
        """An attempt ended."""
        if self.drill.covers(fact.upstream, fact.model):
            if not fact.outcome.is_answer:
                self._lost[fact.request_id] = self._lost.get(fact.request_id, 0.0) + fact.seconds
        elif fact.outcome.is_answer and fact.content_seconds is not None and fact.request_id in self._lost:
            self._resumed[fact.request_id] = self._lost[fact.request_id] + fact.content_seconds

    def request(self, fact: RequestFact, now: float) -> None:
        """A request ended."""
        self._lost.pop(fact.request_id, None)
        resumed_seconds = self._resumed.pop(fact.request_id, None)
        if self._is_affected(fact):
            self._note_affected(fact.fate, resumed_seconds if fact.resumed_by else fact.seconds, now)
        elif self.end is not None and self._findings.answered_at is None and self._is_answered_by_drilled(fact):
            self._findings.answered_at = now

    def _is_affected(self, fact: RequestFact) -> bool:
        """A stream that breaks after its first content carries the name of who began it."""
        was_tried = any(self.drill.covers(tried.upstream, tried.model) for tried in fact.tried)
        has_broken = fact.resumed_by is not None or fact.fate is Fate.FAILED
        return was_tried or (has_broken and self._is_answered_by_drilled(fact))

    def _is_answered_by_drilled(self, fact: RequestFact) -> bool:
        return fact.upstream is not None and self.drill.covers(fact.upstream, fact.model)

    def _note_affected(self, fate: Fate, rescue_seconds: float | None, now: float) -> None:
        match fate:
            case Fate.FAILED:
                self._findings.failed += 1
            case Fate.LEFT:
                self._findings.left += 1
            case Fate.ANSWERED:
                self._findings.rescued += 1
                if rescue_seconds is not None:
                    self._findings.note_rescue(rescue_seconds, now)

    def _look_whether_back(self, now: float) -> None:
        if self.end is not None and not self._ill and self._findings.returned_at is None:
            self._findings.returned_at = now
