"""What every measurement stands on: the programs built, the mock running, the proxies found or installed."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench import peers, process, programs, target, traffic
from tests.bench.load import Driver, DriverFailed
from tests.bench.peers import InstallFailed
from tests.bench.process import Cores
from tests.bench.programs import NoCompiler
from tests.bench.recipe import Recipe
from tests.bench.target import NotServing, Target

# Whatever keeps a run from having a result; each says what to do.
CannotMeasure = (NoCompiler, NotServing, DriverFailed, InstallFailed)

# Two connections for each of 5,000 streams, and some for the rest.
_DESCRIPTORS_WANTED = 12_000


@dataclass(frozen=True, slots=True)
class Rig:
    """A running mock, the driver for it, and what recipes need to know of this machine."""

    mock: Target
    driver: Driver
    cores: Cores
    values: Mapping[str, str]

    @contextmanager
    def started(self, recipe: Recipe) -> Iterator[Target]:
        """The proxy, running. Raises NotServing."""
        with target.started(recipe, self.mock.port, self.cores, self.values) as running:
            yield running


@contextmanager
def assembled(cache: Path) -> Iterator[Rig]:
    """A rig with its programs in that folder. Raises NoCompiler, NotServing."""
    descriptors = process.raise_descriptor_limit()
    if descriptors < _DESCRIPTORS_WANTED:
        print(f"bench: {descriptors} open files are allowed; 5,000 streams need {_DESCRIPTORS_WANTED}", file=sys.stderr)
    cores = Cores.choose()
    driver = Driver(programs.build("driver", cache / "bin"), cores.load)
    with process.ahead_of_others(), target.mock(programs.build("mock", cache / "bin"), cores.load) as port:
        yield Rig(Target("direct", port), driver, cores, _values(cache, descriptors))


def _values(cache: Path, descriptors: int) -> Mapping[str, str]:
    return {
        "peers": str(cache / "peers"),
        "python": sys.executable,
        "key": traffic.API_KEY,
        "descriptors": str(min(descriptors, 60_000)),
        "connections": str(min(descriptors, 20_000)),
        # HAProxy refuses to start if it could not have two descriptors for each client.
        "streams": str(min(descriptors, 20_000) // 2 - 500),
    }


def find(recipe: Recipe, values: Mapping[str, str], may_install: bool) -> bool:
    """Whether the proxy is here, after installing it if that is allowed. Raises InstallFailed."""
    if not recipe.is_installed(values) and may_install:
        print(f"bench: installing {recipe.name}", file=sys.stderr)
        peers.install(recipe, values)
    return recipe.is_installed(values)
