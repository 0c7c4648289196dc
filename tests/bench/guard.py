"""The guard: fails when the proxy has become expensive. `python -m tests.bench.guard --help`.

It compares with nginx in the same run, since no absolute figure means anything on two machines; and CPU time, since
latency and throughput on a shared machine tell more about its other users.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench import hotspare, peers, programs, rig
from tests.bench.load import Load, Result
from tests.bench.peers import NGINX
from tests.bench.recipe import Recipe
from tests.bench.rig import CannotMeasure, Rig
from tests.bench.scenario import FULL, QUICK, Plan
from tests.bench.target import NotServing


@dataclass(frozen=True, slots=True)
class Limit:
    """How many times as expensive as nginx something may be; `read` gives seconds of CPU."""

    label: str
    unit: str
    scale: float
    most: float
    read: Callable[["Turn"], float]


@dataclass(frozen=True, slots=True)
class Turn:
    """What one proxy needed in one round."""

    saturated: Result
    streams: Result

    @property
    def faults(self) -> int:
        """What should not happen at any load; a stream that is late is none."""
        return self.saturated.faults + self.streams.faults


@dataclass(frozen=True, slots=True)
class Verdict:
    """Medians of both, and whether ours is within the limit."""

    limit: Limit
    ours: float
    reference: float

    @property
    def ratio(self) -> float:
        """Ours in terms of the reference."""
        return self.ours / self.reference

    @property
    def is_kept(self) -> bool:
        """Whether the limit is kept; a figure that is not there keeps none."""
        return self.ratio <= self.limit.most

    def __str__(self) -> str:
        ours, reference = (f"{value * self.limit.scale:.1f}" for value in (self.ours, self.reference))
        sign = "<=" if self.is_kept else ">"
        comparison = f"{self.ratio:.2f} {sign} {self.limit.most:.2f} x nginx"
        return f"{self.limit.label}: {ours} {self.limit.unit}, nginx {reference} {self.limit.unit}: {comparison}"


# Most of a request's time is the kernel's TCP work, which nginx has as well; twice nginx leaves as much again for
# Python. One task or one multidict more on the hot path is half of that, and shows. An event is forwarded as it came,
# so there is less of Python in it. Repeated runs differ by 5 %: limits closer than that to the figures fail by chance.
LIMITS = (
    Limit("CPU per request", "µs", 1e6, 3.8, lambda turn: turn.saturated.cpu_per_request),
    Limit("CPU per 1,000 events", "ms", 1e6, 2.0, lambda turn: turn.streams.cpu_per_event),
)


def judge(ours: Sequence[Turn], reference: Sequence[Turn]) -> list[Verdict]:
    """One verdict for each limit, from the medians of the rounds."""
    return [
        Verdict(limit, median(limit.read(turn) for turn in ours), median(limit.read(turn) for turn in reference))
        for limit in LIMITS
    ]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.guard",
        description="Compares the proxy's CPU time with nginx's, in about a minute.",
        epilog="exit status: 0 within the limits, 1 a limit passed or a request failed, 2 nothing measured",
    )
    parser.add_argument("--install", action="store_true", help="install nginx if it is missing (Debian, as root)")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="tiny loads: whether it runs, not a result")
    parser.add_argument("--command", default=hotspare.COMMAND, help="how the proxy is started; default: %(default)s")
    parser.add_argument("--cache", type=Path, default=programs.cache_folder(), help="default: %(default)s")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None, nginx: Recipe = NGINX) -> int:
    """See the epilog of `--help`."""
    options = parse(arguments)
    try:
        with rig.assembled(options.cache) as setup:
            if not rig.find(nginx, setup.values, options.install):
                remedy = peers.install_command(nginx, setup.values)
                raise NotServing(f"nginx is not installed; run this with --install, or: {remedy}")
            ours, reference = _measure(setup, nginx, options)
    except CannotMeasure as error:
        print(f"guard: {error}", file=sys.stderr)
        return 2
    return _report(judge(ours, reference), sum(turn.faults for turn in ours))


def _measure(setup: Rig, nginx: Recipe, options: argparse.Namespace) -> tuple[list[Turn], list[Turn]]:
    plan = QUICK if options.quick else FULL
    recipes = (hotspare.recipe(options.command), nginx)
    turns = [[_turn(setup, recipe, plan) for recipe in recipes] for _ in range(options.rounds)]
    return [pair[0] for pair in turns], [pair[1] for pair in turns]


def _turn(setup: Rig, recipe: Recipe, plan: Plan) -> Turn:
    with setup.started(recipe) as target:
        loads: tuple[Load, Load] = (plan.saturated, plan.streams)
        return Turn(*(setup.driver.run(target, load) for load in loads))


def _report(verdicts: Sequence[Verdict], faults: int) -> int:
    for verdict in verdicts:
        print(f"{'ok  ' if verdict.is_kept else 'FAIL'} {verdict}")
    print(f"{'FAIL' if faults else 'ok  '} failed requests, lost events: {faults}")
    return int(bool(faults) or not all(verdict.is_kept for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
