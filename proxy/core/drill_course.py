"""What a drill's shape comes to in each moment of it: some upstreams are not ill all the time, nor all of a sudden."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from proxy.core.drill_report import Drill, Shape

FLAP_SECONDS: Final = 5.0
"""For so long an upstream that flaps is dead, and then well."""

_ONCE: Final[Mapping[Shape, Shape]] = MappingProxyType(
    {Shape.STATUS_500_ONCE: Shape.STATUS_500, Shape.STATUS_429_ONCE: Shape.STATUS_429}
)


def played(drill: Drill, draw: float, seconds: float, *, has_broken: bool) -> Shape | None:
    """What an attempt meets so long after the drill's beginning; None if it is left alone.

    `draw` is its request's number from 0 up to but not 1. `has_broken`: the drill has broken an attempt before.
    """
    shape = drill.shape
    if draw >= _share(drill, seconds):
        return None
    if shape in _ONCE:
        return None if has_broken else _ONCE[shape]
    match shape:
        case Shape.FLAPPING:
            return None if int(seconds // FLAP_SECONDS) % 2 else Shape.STATUS_503
        case Shape.RELAPSE:
            return None if 1 / 3 <= seconds / drill.seconds < 2 / 3 else Shape.STATUS_503
        case Shape.DECAY:
            return Shape.STATUS_503
        case _:
            return shape


def _share(drill: Drill, seconds: float) -> float:
    """A straight line from none of the requests where it decays: it never looks like the beginning of an outage."""
    return drill.share * min(seconds / drill.seconds, 1.0) if drill.shape is Shape.DECAY else drill.share
