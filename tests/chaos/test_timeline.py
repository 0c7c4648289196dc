"""The compression of timelines."""

from tests.chaos.outages import OUTAGES
from tests.chaos.timeline import Act, Timeline
from tests.fakes.behaviour import Behaviour

ANSWERS = (Behaviour.ERROR_500,)


def lengths(timeline: Timeline) -> list[float]:
    return [act.length for act in timeline.acts]


def test_acts_keep_their_shares() -> None:
    timeline = Timeline([Act(30, ANSWERS), Act(90, ANSWERS)])
    assert lengths(timeline.compressed(4, least_seconds=0.5)) == [1, 3]


def test_short_act_is_not_lost() -> None:
    timeline = Timeline([Act(1, ANSWERS), Act(999, ANSWERS)])
    assert lengths(timeline.compressed(10, least_seconds=0.5)) == [0.5, 9.99]


def test_nothing_but_lengths_is_changed() -> None:
    act = Act(30, ANSWERS, {"gpt-4o": Behaviour.OK}, delay_seconds=3)
    [compressed] = Timeline([act], is_check_green=True).compressed(30, least_seconds=1).acts
    assert compressed == act


def test_every_outage_has_something_to_notice() -> None:
    for timeline in OUTAGES.values():
        assert any(not act.answers or set(act.answers) != {Behaviour.OK} for act in timeline.acts)
