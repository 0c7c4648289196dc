"""The drills' section of the configuration, turned into what can look dead and what begins when."""

from collections.abc import Callable, Collection
from datetime import UTC, datetime

from proxy.clock import Clock
from proxy.config.schema import LOCAL, Config, ScheduledDrill
from proxy.core.drill import meant
from proxy.core.drill_report import Drill, Shape
from proxy.server.drill_owner import DrillOwner
from proxy.server.drills import Targets
from proxy.server.timekeeper import Appointment, Timekeeper
from proxy.telemetry.events import Emit


def wants_drills(config: Config) -> bool:
    """Whether there can ever be one."""
    return config.drills.allow or bool(config.drills.schedule)


def targets(config: Config) -> Targets | None:
    """What an order can name; None where orders are not allowed."""
    clouds = _clouds(config)
    return Targets(clouds, [*clouds, LOCAL] if config.local else clouds) if config.drills.allow else None


def build_timekeeper(
    owner: DrillOwner,
    has_stand_in: Callable[[Collection[str]], bool],
    config: Callable[[], Config],
    clock: Clock,
    emit: Emit,
) -> Timekeeper:
    """Who begins the drills of every week, by the configuration as it is when he looks."""
    return Timekeeper(owner, has_stand_in, lambda: _appointments(config()), lambda: _local_time(clock), emit)


def _appointments(config: Config) -> list[Appointment]:
    return [Appointment(each.at, _drill(each, config)) for each in config.drills.schedule]


def _local_time(clock: Clock) -> datetime:
    """What the clock on the wall shows."""
    return datetime.fromtimestamp(clock.wall(), UTC).astimezone().replace(tzinfo=None)


def _drill(settings: ScheduledDrill, config: Config) -> Drill:
    upstreams = meant(settings.upstream, _clouds(config))
    return Drill(upstreams, Shape(settings.shape), settings.share, settings.for_seconds, settings.model)


def _clouds(config: Config) -> list[str]:
    return [upstream.name for upstream in config.upstreams]
