"""The command: starts the parts, runs the rounds in turn, prints the table."""

import argparse
import gc
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import uvloop

from tests.bench import process
from tests.bench.driver import Address
from tests.bench.measure import FULL, QUICK, Figures, Footprint, Plan, Target, measure, measure_footprint, medians
from tests.bench.process import NotServing, Tree
from tests.bench.report import render

HOST = "127.0.0.1"
DIRECT = "direct"
PROXY = "hotspare"
_COMMAND = "{python} -m proxy.cli serve --config {config}"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measures the proxy against going direct. Loopback only; under 2 minutes.",
        epilog="example: python -m tests.bench --quick --also litellm=http://127.0.0.1:4000",
    )
    parser.add_argument("--quick", action="store_true", help="one short round, under 20 s: a smoke test, not a result")
    parser.add_argument("--output", type=Path, help="write the table here, too")
    parser.add_argument(
        "--also",
        type=_named_address,
        action="append",
        default=[],
        metavar="NAME=URL",
        help="another proxy that runs on this machine; its upstream must be the mock of --mock-port; may be repeated",
    )
    parser.add_argument("--mock-port", type=int, default=0, help="the mock's port, for --also; 0 takes a free one")
    parser.add_argument("--command", default=_COMMAND, help="how the proxy is started; default: %(default)s")
    return parser.parse_args(arguments)


def _named_address(text: str) -> tuple[str, Address]:
    name, _, url = text.partition("=")
    parts = urlsplit(url)
    if not name or parts.scheme != "http" or parts.hostname not in (HOST, "localhost") or parts.port is None:
        raise argparse.ArgumentTypeError(f"{text!r}: write NAME=http://{HOST}:PORT")
    return name, Address(HOST, parts.port)


def main() -> int:
    """0, or 1 if a target does not serve or a request failed."""
    arguments = parse()
    plan = QUICK if arguments.quick else FULL
    machine = process.machine()
    driver_core, mock_core, proxy_core = _cores()
    try:
        with _pinned_driver(driver_core), ExitStack() as stack:
            mock = stack.enter_context(process.mock(mock_core, arguments.mock_port))
            proxy, start_seconds = stack.enter_context(_proxy(arguments.command, mock, proxy_core, plan.starts))
            also = [_other(name, address, proxy_core) for name, address in arguments.also]
            targets = [Target(DIRECT, mock), proxy, *also]
            loads, footprints = uvloop.run(_run(targets, plan, start_seconds))
    except NotServing as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    report = render(machine, DIRECT, loads, footprints)
    print(report)
    if arguments.output:
        arguments.output.write_text(report)
    return int(any(figures.failures for figures in loads.values()))


def _cores() -> tuple[int, int, int]:
    """The cores of driver, mock and proxy: the first, the second if there are three, the last."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) == 1:
        print("bench: only one core; the proxy shares it with mock and driver", file=sys.stderr)
    return cores[0], cores[1 if len(cores) > 2 else 0], cores[-1]


@contextmanager
def _pinned_driver(core: int) -> Iterator[None]:
    """Keeps this process on its core and the garbage collector out of the measurements."""
    with process.pinned(core):
        gc.disable()
        try:
            yield
        finally:
            gc.enable()


@contextmanager
def _proxy(command: str, mock: Address, core: int, starts: int) -> Iterator[tuple[Target, float]]:
    """The running proxy, started several times; the median time that it took."""
    address = Address(HOST, _free_port())
    times = []
    with TemporaryDirectory() as folder:
        config = Path(folder) / "bench.yaml"
        process.write_config(config, address, mock)
        for _ in range(starts - 1):
            started, seconds = process.start(command, config, address, core)
            process.stop(started)
            times.append(seconds)
        started, seconds = process.start(command, config, address, core)
        try:
            yield Target(PROXY, address, Tree(started.pid)), median([*times, seconds])
        finally:
            process.stop(started)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def _other(name: str, address: Address, core: int) -> Target:
    tree = process.listener(address)
    tree.pin(core)
    return Target(name, address, tree)


async def _run(
    targets: list[Target], plan: Plan, start_seconds: float
) -> tuple[dict[str, Figures], dict[str, Footprint]]:
    footprints = {}
    for target in targets:
        if target.tree:
            known = start_seconds if target.name == PROXY else float("nan")
            footprints[target.name] = await measure_footprint(target, known)
    results: dict[str, list[Figures]] = {target.name: [] for target in targets}
    for _ in range(plan.rounds):
        for target in targets:
            results[target.name].append(await measure(target, plan))
    return {name: medians(figures) for name, figures in results.items()}, footprints


if __name__ == "__main__":
    sys.exit(main())
