"""However the requests and breakers of a drill are spread over workers, the report is that of one process."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from proxy.core.action import Tried
from proxy.core.breaker import State
from proxy.core.drill_joint import JointRecord
from proxy.core.drill_record import Fate, Record, RequestFact
from proxy.core.drill_report import Drill, End, Shape
from proxy.core.outcome import Kind

DRILL = Drill(("cloud",), Shape.REFUSED, 1.0, 60.0)
REFUSED = (Tried("cloud", Kind.CONNECT),)
WORKERS = range(1, 4)
DONE_AT = 1000.0

Happening = Callable[[Record, float], None]
"""Something that one worker sees at an instant. Times are whole seconds, so that sums are exact in any order."""


def _breaks(record: Record, now: float) -> None:
    record.broke(now)


def _request(fate: Fate, seconds: int, tried: tuple[Tried, ...]) -> Happening:
    fact = RequestFact("req-1", "local" if tried else "cloud", "gpt", tried, None, fate, seconds)
    return lambda record, now: record.request(fact, now)


REQUESTS = st.builds(_request, st.sampled_from(Fate), st.integers(0, 5), st.sampled_from([REFUSED, ()]))
Seen = tuple[int, Happening]
TRACES = st.lists(st.tuples(st.sampled_from(WORKERS), st.just(_breaks) | REQUESTS))
OUTAGES = st.lists(st.tuples(st.sampled_from(WORKERS), st.floats(0.1, 29.0), st.floats(30.1, 90.0)), max_size=4)
"""Of breakers: whose, and when each opens and closes."""


def _moves(model: str, state: State) -> Happening:
    return lambda record, now: record.breaker("cloud", model, state, now)


def _ends(record: Record, now: float) -> None:
    record.ended(now, End.ASKED)


def _story(trace: list[Seen], outages: list[tuple[int, float, float]]) -> list[tuple[float, int, Happening]]:
    """When, who, what: the trace spread over a minute, whose middle is the end of the drill."""
    story = [(60.0 * index / len(trace), worker, what) for index, (worker, what) in enumerate(trace)]
    for number, (worker, opened_at, closed_at) in enumerate(outages):
        story.append((opened_at, worker, _moves(f"gpt-{number}", State.OPEN)))
        story.append((closed_at, worker, _moves(f"gpt-{number}", State.CLOSED)))
    return story


def _told(record: Record, story: list[tuple[float, int, Happening]]) -> Record:
    for now, _, what in sorted([*story, (30.0, 0, _ends)], key=lambda each: each[0]):
        what(record, now)
    return record


@given(TRACES, OUTAGES)
def test_any_split_over_workers_gives_the_report_of_one(
    trace: list[Seen], outages: list[tuple[int, float, float]]
) -> None:
    story, joint = _story(trace, outages), JointRecord(1, DRILL, 0.0)
    joint.ended(30.0, End.ASKED)
    for worker in WORKERS:
        own = [each for each in story if each[1] == worker]
        joint.found(worker, _told(Record(1, DRILL, 0.0), own).findings)
    assert joint.report(DONE_AT) == _told(Record(1, DRILL, 0.0), story).report(DONE_AT)
