"""What an attempt meets in the course of a drill, and that every way in which an upstream fails can be drilled."""

from collections.abc import Mapping
from typing import NamedTuple

import pytest

from proxy.core.drill import ALL, Drills, meant
from proxy.core.drill_course import played
from proxy.core.drill_report import MIDWAY, SLOW, Drill, Shape
from proxy.upstreams.sabotage import steps

STATUS_503 = Shape.STATUS_503
CLOUDS = ("cloud", "second")


class Order(NamedTuple):
    """What `hotspare drill` is told."""

    shape: Shape
    share: float = 1.0
    upstreams: tuple[str, ...] = ()
    model: str | None = None


WAYS_TO_FAIL: Mapping[str, tuple[Order, ...]] = {
    "connection refused": (Order(Shape.REFUSED),),
    "DNS failure": (Order(Shape.DNS),),
    "TLS failure": (Order(Shape.TLS),),
    "connect hang": (Order(Shape.CONNECT_HANG),),
    "reset before the answer": (Order(Shape.RESET),),
    "accepts but never answers": (Order(Shape.SILENT),),
    "headers then nothing": (Order(Shape.HEADERS_THEN_SILENT),),
    "role chunk then nothing": (Order(Shape.ROLE_THEN_SILENT),),
    "keep-alives only": (Order(Shape.KEEPALIVES_ONLY),),
    "slow first token": (Order(Shape.SLOW_START),),
    "1 token/s": (Order(Shape.SLOW_TOKENS),),
    "stall mid-stream": (Order(Shape.STALL),),
    "cut mid-stream, clean FIN": (Order(Shape.CUT),),
    "cut mid-stream, RST": (Order(Shape.CUT_BY_RESET),),
    "cut mid-event": (Order(Shape.CUT_IN_EVENT),),
    "cut mid-UTF-8": (Order(Shape.CUT_IN_CHARACTER),),
    "in-stream error event": (Order(Shape.ERROR_EVENT),),
    "missing finish_reason": (Order(Shape.NO_FINISH),),
    "missing [DONE]": (Order(Shape.NO_DONE),),
    "malformed event between good ones": (Order(Shape.MALFORMED),),
    "HTML instead of JSON": (Order(Shape.HTML),),
    "200 with an error body": (Order(Shape.ERROR_BODY),),
    "truncated JSON body": (Order(Shape.TRUNCATED),),
    "wrong content-length": (Order(Shape.WRONG_LENGTH),),
    "500 once": (Order(Shape.STATUS_500_ONCE),),
    "500/502/503/504 lasting": tuple(
        Order(shape) for shape in (Shape.STATUS_500, Shape.STATUS_502, STATUS_503, Shape.STATUS_504)
    ),
    "429 short": (Order(Shape.STATUS_429_ONCE),),
    "429 lasting, with and without Retry-After": (Order(Shape.STATUS_429), Order(Shape.STATUS_429_BARE)),
    "401/402/403 of our key": tuple(Order(shape) for shape in (Shape.STATUS_401, Shape.STATUS_402, Shape.STATUS_403)),
    "one model only": (Order(STATUS_503, model="gpt"),),
    "one in three requests fails": (Order(STATUS_503, share=1 / 3),),
    "flapping every 5 s": (Order(Shape.FLAPPING),),
    "slow decay": (Order(Shape.DECAY),),
    "recovery with a relapse": (Order(Shape.RELAPSE),),
    "all cloud upstreams at once": (Order(STATUS_503, upstreams=(ALL,)),),
    "local model down at the same time": (Order(STATUS_503, upstreams=("cloud", "local")),),
}


def met(order: Order, seconds: float) -> Shape | None:
    """What the first upstream named lets a request of the share hear, so long after the beginning of 60 s."""
    drills = Drills()
    drill = Drill(meant(order.upstreams, CLOUDS), order.shape, order.share, 60.0, order.model)
    drills.start(drill, 100.0)
    return drills.shape(drill.upstreams[0], "gpt", 0.3, 100.0 + seconds)


@pytest.mark.parametrize("way", WAYS_TO_FAIL)
def test_every_way_to_fail_can_be_drilled(way: str) -> None:
    for order in WAYS_TO_FAIL[way]:
        shapes = {shape for seconds in (0.0, 59.0) if (shape := met(order, seconds))}
        assert shapes
        assert all(is_performed(shape) for shape in shapes)


def is_performed(shape: Shape) -> bool:
    """Whether the saboteur knows how: a shape that has no script raises."""
    return shape in MIDWAY | SLOW or steps(shape, 1.0) is not None


def test_every_shape_is_a_way_to_fail() -> None:
    assert {order.shape for orders in WAYS_TO_FAIL.values() for order in orders} == set(Shape)


def course(shape: Shape, *seconds: float, draw: float = 0.5, share: float = 1.0) -> list[Shape | None]:
    drill = Drill(("cloud",), shape, share, 30.0)
    return [played(drill, draw, now, has_broken=True) for now in seconds]


def test_upstream_that_flaps_is_dead_and_well_in_turn() -> None:
    seen = course(Shape.FLAPPING, 0.0, 4.999, 5.0, 9.999, 10.0)
    assert seen == [STATUS_503, STATUS_503, None, None, STATUS_503]


def test_upstream_that_relapses_is_well_in_the_middle_third() -> None:
    seen = course(Shape.RELAPSE, 0.0, 9.999, 10.0, 19.999, 20.0, 29.999)
    assert seen == [STATUS_503, STATUS_503, None, None, STATUS_503, STATUS_503]


def test_upstream_that_decays_fails_ever_more_requests_up_to_the_share() -> None:
    hit = [sum(course(Shape.DECAY, now, draw=n / 100, share=0.5) != [None] for n in range(100)) for now in (0, 15, 30)]
    assert hit == [0, 25, 50]


@pytest.mark.parametrize(
    ("shape", "status"),
    [(Shape.STATUS_500_ONCE, Shape.STATUS_500), (Shape.STATUS_429_ONCE, Shape.STATUS_429)],
)
def test_what_happens_once_happens_to_one_attempt(shape: Shape, status: Shape) -> None:
    drills = Drills()
    drills.start(Drill(("cloud",), shape, 0.5, 30.0), 100.0)
    seen = [drills.shape("cloud", "gpt", draw, 101.0) for draw in (0.7, 0.2, 0.2, 0.3)]
    assert seen == [None, status, None, None]


@pytest.mark.parametrize(
    ("names", "upstreams"),
    [
        ((), ("cloud",)),
        (("second",), ("second",)),
        (("all",), CLOUDS),
        (("second", "all", "local"), ("second", "cloud", "local")),
        (("elsewhere",), ("elsewhere",)),
    ],
)
def test_names_of_an_order_become_upstreams(names: tuple[str, ...], upstreams: tuple[str, ...]) -> None:
    assert meant(names, CLOUDS) == upstreams


def test_drill_of_one_model_leaves_the_others_alone() -> None:
    drills = Drills()
    drills.start(Drill(CLOUDS, Shape.REFUSED, 1.0, 30.0, "gpt"), 100.0)
    asked = [("cloud", "gpt"), ("second", "gpt"), ("cloud", "mini"), ("local", "gpt")]
    seen = [drills.shape(upstream, model, 0.0, 101.0) is not None for upstream, model in asked]
    assert seen == [True, True, False, False]
