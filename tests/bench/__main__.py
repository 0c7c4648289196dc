"""The command: hotspare and its peers go through all loads, in turn, as often as asked; the medians make the table."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench import hotspare, peers, process, programs, report, rig, scenario
from tests.bench.load import DriverFailed
from tests.bench.peers import PEERS, InstallFailed
from tests.bench.recipe import Recipe
from tests.bench.report import DIRECT, Column
from tests.bench.rig import CannotMeasure, Rig
from tests.bench.scenario import FULL, QUICK, Plan, Round
from tests.bench.target import NotServing

_TITLE = "# The proxy beside its peers, by `make bench`"
_NOTES = """\
One core for the proxy; mock upstream and driver share another. A request has 2 KB, an answer 1 KB, an event 0.3 KB;
plain HTTP on loopback. Median of {rounds} round(s) over all targets in turn, each started anew. In parentheses: `x` is
the ratio to nginx, `+` what is added to going direct. Memory counts what processes share for each of them. `-`: not
measured, because there is nothing to measure or the proxy saturates below this load. On a shared machine trust the
ratios, and CPU time above latency.

    {command}
"""


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measures the proxy beside its peers. Loopback only; about 30 s for each target and round.",
        epilog="example: python -m tests.bench --peers nginx,envoy --install --rounds 1",
    )
    parser.add_argument(
        "--peers", type=_peers, default=[], help=f"all, none, or some of {','.join(PEERS)}; default: none"
    )
    parser.add_argument(
        "--install",
        action="store_true",
        help="install peers that are missing: Debian packages, if run by"
        " root, and environments of their own in the cache folder",
    )
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="one round of tiny loads: a smoke test, not a result")
    parser.add_argument("--output", type=Path, help="write the table here, too")
    parser.add_argument("--command", default=hotspare.COMMAND, help="how the proxy is started; default: %(default)s")
    parser.add_argument("--cache", type=Path, default=programs.cache_folder(), help="default: %(default)s")
    return parser.parse_args(arguments)


def _peers(text: str) -> list[Recipe]:
    names = {"all": list(PEERS), "none": []}.get(text, text.split(","))
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no peer is called {', '.join(unknown)}; there are {', '.join(PEERS)}")
    return [PEERS[name] for name in names]


def main(arguments: Sequence[str] | None = None) -> int:
    """0; 1 if a request of ours failed; 2 if nothing could be measured."""
    options = parse(arguments)
    plan, rounds = (QUICK, 1) if options.quick else (FULL, options.rounds)
    machine = process.machine()
    try:
        with rig.assembled(options.cache) as setup:
            columns = _measure(setup, plan, rounds, options)
    except CannotMeasure as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    text = _page(machine, rounds, report.table(plan, columns), arguments)
    print(text)
    if options.output:
        options.output.write_text(text)
    ours = next(column for column in columns if column.name == hotspare.NAME)
    return int(any(turn.faults for turn in ours.rounds))


def _measure(setup: Rig, plan: Plan, rounds: int, options: argparse.Namespace) -> list[Column]:
    ours = hotspare.recipe(options.command)
    columns = {
        DIRECT: Column(DIRECT, "", []),
        ours.name: Column(ours.name, "this tree", []),
        **{peer.name: _peer_column(peer, setup, options.install) for peer in options.peers},
    }
    for number in range(rounds):
        print(f"bench: round {number + 1} of {rounds}", file=sys.stderr)
        columns[DIRECT].rounds.append(scenario.measure(setup.mock, plan, setup.driver))
        columns[ours.name].rounds.append(_turn(ours, setup, plan))
        for peer in options.peers:
            if peer.is_installed(setup.values):
                columns[peer.name].rounds.extend(_peer_turn(peer, setup, plan))
    return list(columns.values())


def _turn(recipe: Recipe, setup: Rig, plan: Plan) -> Round:
    with setup.started(recipe) as target:
        return scenario.measure(target, plan, setup.driver)


def _peer_turn(peer: Recipe, setup: Rig, plan: Plan) -> list[Round]:
    """The round, or none if the peer fails: it is not to take the others' figures with it."""
    try:
        return [_turn(peer, setup, plan)]
    except (NotServing, DriverFailed) as error:
        print(f"bench: left out: {error}", file=sys.stderr)
        return []


def _peer_column(peer: Recipe, setup: Rig, may_install: bool) -> Column:
    try:
        if rig.find(peer, setup.values, may_install):
            return Column(peer.name, peer.installed_version(setup.values), [])
    except InstallFailed as error:
        print(f"bench: left out: {error}", file=sys.stderr)
    return Column(peer.name, f"not installed: `{peers.install_command(peer, setup.values)}`", [])


def _page(machine: str, rounds: int, table: str, arguments: Sequence[str] | None) -> str:
    command = shlex.join(["python", "-m", "tests.bench", *(sys.argv[1:] if arguments is None else arguments)])
    return "\n".join([_TITLE, "", f"{machine}.", "", table, "", _NOTES.format(rounds=rounds, command=command)])


if __name__ == "__main__":
    sys.exit(main())
