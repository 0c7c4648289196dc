"""What a configuration that is read anew may change while the fleet goes on. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from proxy.config.fault import ConfigInvalid, Fault
from proxy.config.load import Source
from proxy.config.schema import Config
from proxy.config.validate import findings

FIXED: Final = ("listen", "admin", "workers", "local")
"""What the fleet itself holds: the sockets, the slots and the model server. It takes a restart to change these."""


@dataclass(frozen=True, slots=True)
class Reload:
    """The configuration to go on with, and which keys of the file have no effect before a restart."""

    config: Config
    unheeded: tuple[str, ...]


def reloaded(started: Config, wanted: Config, file: str) -> Reload:
    """`wanted`, but for what is fixed. Raises ConfigInvalid if the two do not go together: a new route to a local model
    that the fleet was started without."""
    kept = {key: getattr(started, key) for key in FIXED}
    unheeded = tuple(key for key, value in kept.items() if value != getattr(wanted, key))
    config = replace(wanted, **kept)
    if unheeded and (faults := tuple(_faults(config, file, unheeded))):
        raise ConfigInvalid(faults)
    return Reload(config, unheeded)


def effective(started: Source, wanted: Source, environment: Mapping[str, str]) -> Reload:
    """As `reloaded`, from the texts. Raises ConfigInvalid."""
    if wanted == started:
        return Reload(started.parse(environment), ())
    return reloaded(started.parse(environment), wanted.parse(environment), wanted.file)


def _faults(config: Config, file: str, unheeded: tuple[str, ...]) -> list[Fault]:
    because = f"while {', '.join(unheeded)} can only change by a restart"
    broken = findings(config, written=())
    return [Fault(file, None, key, f"{problem}, {because}", "restart hotspare") for key, problem, _ in broken]
