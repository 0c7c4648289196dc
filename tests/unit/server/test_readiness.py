"""Ready means that somebody can answer."""

from collections.abc import Mapping

import pytest

from proxy.core.breaker import State
from proxy.server.operations import Readiness
from proxy.telemetry.events import Phase

UP: Mapping[State, int] = {State.CLOSED: 2, State.OPEN: 5}
RAMPING: Mapping[State, int] = {State.RAMPING: 1, State.OPEN: 2}
DOWN: Mapping[State, int] = {State.OPEN: 1, State.HALF_OPEN: 1, State.CLOSED: 0}
UNUSED: Mapping[State, int] = {}


def readiness(cloud: Mapping[State, int] | None, phase: Phase | None, trouble: str = "") -> Readiness:
    clouds: dict[str, Mapping[State, int]] = {} if cloud is None else {"acme": cloud}
    return Readiness(
        breakers=lambda: {**clouds, "local": {}},
        local_phase=lambda: phase,
        local_trouble=lambda: trouble,
        clouds=frozenset(clouds),
    )


@pytest.mark.parametrize(
    ("cloud", "phase", "is_ready"),
    [
        (UP, Phase.LOADING, True),
        (UNUSED, Phase.DOWN, True),
        (RAMPING, Phase.DOWN, True),
        (DOWN, Phase.READY, True),
        (DOWN, Phase.WARMING, False),
        (DOWN, None, False),
        (None, Phase.READY, True),
        (None, Phase.STARTING, False),
        (None, None, False),
    ],
)
def test_ready_while_a_cloud_or_the_local_model_can_answer(
    cloud: Mapping[State, int] | None, phase: Phase | None, is_ready: bool
) -> None:
    assert readiness(cloud, phase).report()["ready"] is is_ready


@pytest.mark.parametrize(
    ("cloud", "phase", "gone", "is_answered"),
    [
        (UP, Phase.READY, ["acme"], True),
        (UP, Phase.LOADING, ["acme"], False),
        (UP, Phase.READY, ["local"], True),
        (DOWN, Phase.READY, ["local"], False),
        (UP, Phase.READY, ["acme", "local"], False),
        (DOWN, Phase.READY, [], True),
    ],
)
def test_somebody_else_has_to_be_there_for_those_that_are_gone(
    cloud: Mapping[State, int], phase: Phase, gone: list[str], is_answered: bool
) -> None:
    assert readiness(cloud, phase).can_do_without(gone) is is_answered


def test_draining_is_not_ready_whoever_could_answer() -> None:
    seen = readiness(UP, Phase.READY)
    seen.is_draining = True
    assert (seen.report()["ready"], seen.report()["draining"]) == (False, True)


def test_report_names_what_is_missing() -> None:
    report = readiness(DOWN, Phase.FETCHING, "no space left").report()
    assert report["upstreams"] == {"acme": "down"}
    assert (report["local"], report["trouble"]) == ("fetching", "no space left")
