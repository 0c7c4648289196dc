"""How the proxy's cost grows with streams, upstreams, routes and bodies. `python -m tests.bench.curves --help`."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench import hotspare, process, programs, rig
from tests.bench.growth import Point, verdict
from tests.bench.hotspare import Size
from tests.bench.load import Load, Result
from tests.bench.rig import CannotMeasure, Rig
from tests.bench.target import Target
from tests.bench.traffic import Pace

_TITLE = "# How the cost grows with the work, by `make curves`"
_NOTES = """\
CPU time of the proxy on one core; median of {rounds} round(s). Flat: the cost of one event or request rises by no
more than two fifths for ten times the size. All streams together have {events:,} events a second, however many there
are: the events of few streams come several at a time. Upstreams and routes are configured, not used: the request goes
to the first upstream and matches the last route.
"""
_EVENTS_PER_SECOND = 10_000
_STREAM_SECONDS = 5.0
_BODY_CONNECTIONS = 4

STREAMS = (1, 10, 100, 1_000, 5_000)
UPSTREAMS = (1, 10, 100)
ROUTES = (1, 10, 100, 1_000)
BODIES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)


@dataclass(frozen=True, slots=True)
class Curve:
    """One table: what varies, what it costs, and how to measure one point of it: the configuration and the load."""

    title: str
    varied: str
    cost: str
    sizes: Sequence[int]
    read: Callable[[Result], float]
    configure: Callable[[int], Size] = lambda _: Size()
    load: Callable[[int], Load] = lambda _: Load(64, 0.5, 2.5)


def streams(count: int) -> Load:
    """So many streams that have the same number of events a second together."""
    gap = count * 1_000_000 // _EVENTS_PER_SECOND
    ramp = max(0.1, count / 2_500)
    return Load.streams(count, Pace(int((ramp * 2 + _STREAM_SECONDS) * 1_000_000 / gap) + 1, gap), ramp)


def bodies(size: int) -> Load:
    """Requests with a body of that many bytes. A large one takes its time, and needs no more than a few connections."""
    return Load(_BODY_CONNECTIONS, 0.5, 3.0, body_bytes=size)


CURVES = (
    Curve("Streams", "streams", "µs per event", STREAMS, lambda result: result.cpu_per_event, load=streams),
    Curve(
        "Upstreams",
        "upstreams configured",
        "µs per request",
        UPSTREAMS,
        lambda result: result.cpu_per_request,
        configure=lambda count: Size(upstreams=count),
    ),
    Curve(
        "Routes",
        "routes before the one that matches, and this one",
        "µs per request",
        ROUTES,
        lambda result: result.cpu_per_request,
        configure=lambda count: Size(routes=count),
    ),
    Curve("Bodies", "bytes of request", "µs per request", BODIES, lambda result: result.cpu_per_request, load=bodies),
)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.curves",
        description="Measures how the proxy's CPU time grows with the work; about 90 s for each round.",
    )
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--only", choices=[curve.title.lower() for curve in CURVES], help="one of the curves")
    parser.add_argument("--most", type=int, default=10**9, help="leave out sizes beyond this one")
    parser.add_argument("--output", type=Path, help="write the tables here, too")
    parser.add_argument("--command", default=hotspare.COMMAND, help="how the proxy is started; default: %(default)s")
    parser.add_argument("--cache", type=Path, default=programs.cache_folder(), help="default: %(default)s")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """0; 1 if a request failed; 2 if nothing could be measured."""
    options = parse(arguments)
    machine = process.machine()
    chosen = [curve for curve in CURVES if options.only in (None, curve.title.lower())]
    try:
        with rig.assembled(options.cache) as setup:
            measured = [(curve, _measure(setup, curve, options)) for curve in chosen]
    except CannotMeasure as error:
        print(f"curves: {error}", file=sys.stderr)
        return 2
    sections = [section(curve, results) for curve, results in measured]
    notes = _NOTES.format(rounds=options.rounds, events=_EVENTS_PER_SECOND)
    text = "\n".join([_TITLE, "", f"{machine}.", "", *sections, notes])
    print(text)
    if options.output:
        options.output.write_text(text)
    return int(any(result.faults for _, results in measured for rounds in results.values() for result in rounds))


def _measure(setup: Rig, curve: Curve, options: argparse.Namespace) -> dict[int, list[Result]]:
    """The results of each size, in rounds over all sizes."""
    sizes = [size for size in curve.sizes if size <= options.most]
    results: dict[int, list[Result]] = {size: [] for size in sizes}
    for _ in range(options.rounds):
        for size in sizes:
            print(f"curves: {size:,} {curve.varied}", file=sys.stderr)
            with _configured(setup, options.command, curve.configure(size)) as target:
                results[size].append(setup.driver.run(target, curve.load(size)))
    return results


@contextmanager
def _configured(setup: Rig, command: str, size: Size) -> Iterator[Target]:
    with setup.started(hotspare.recipe(command, size)) as target:
        yield target


def section(curve: Curve, results: dict[int, list[Result]]) -> str:
    """The curve as a Markdown table under a heading that says how it grows."""
    points = [Point(size, median(curve.read(result) for result in rounds)) for size, rounds in results.items()]
    lines = [f"## {curve.title}: {verdict(points)}", "", f"| {curve.varied} | {curve.cost} | failed |", "|--:|--:|--:|"]
    for point, rounds in zip(points, results.values(), strict=True):
        faults = sum(result.faults for result in rounds)
        lines.append(f"| {point.size:,} | {point.cost * 1e6:,.1f} | {faults} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main())
