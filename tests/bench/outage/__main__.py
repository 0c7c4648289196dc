"""`python -m tests.bench.outage`: what an outage costs, in about two minutes. See `--help`."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace

from tests.bench.outage import scenes
from tests.bench.outage.stage import staged
from tests.bench.process import machine
from tests.fakes.behaviour import Behaviour

FULL = scenes.Plan()
WITH_MODEL = scenes.Plan(quick=40, slow=16, at_once=1)
"""An answer of the model's takes tenths of a second, and two at once take longer than one."""
QUICK = scenes.Plan(quick=10, slow=4, at_once=4, seconds=2.0, warm_seconds=0.0)
SHAPES = (Behaviour.ERROR_503, Behaviour.HANG)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.outage",
        description="Time lost to an outage at the client, and what still goes to the upstream that is down.",
        epilog="exit status: 0 every request was answered, 1 one was not",
    )
    parser.add_argument("--model", action="store_true", help="the real local model in place of a scripted stand-in")
    parser.add_argument("--quick", action="store_true", help="tiny loads: whether it runs, not a result")
    parser.add_argument("--seconds", type=float, help="of the outage in which attempts are counted; default: 60")
    return parser.parse_args(arguments)


def plan(options: argparse.Namespace) -> scenes.Plan:
    """What the command line asks for."""
    chosen = QUICK if options.quick else WITH_MODEL if options.model else FULL
    seconds = chosen.seconds if options.seconds is None else options.seconds
    return replace(chosen, seconds=seconds)


async def measure(chosen: scenes.Plan, *, with_model: bool) -> int:
    """All scenes, one after the other but for the two long ones; how many requests failed."""
    async with staged(with_model=with_model) as stage:
        times = [await scene(stage, chosen) for scene in (scenes.refused, scenes.hung, scenes.stalled)]
        for is_stream in (True, False):
            times += await scenes.added(stage, chosen, is_stream=is_stream)
        attempts = await asyncio.gather(*(scenes.attempts(stage, chosen, shape) for shape in SHAPES))
    print(f"{'ms':<56}{'n':>6}{'p50':>10}{'p99':>10}")
    print("\n".join(map(str, (*times, *attempts))))
    return sum(row.failed for row in (*times, *attempts))


def main(arguments: Sequence[str] | None = None) -> int:
    """See the epilog of `--help`."""
    options = parse(arguments)
    print(f"{machine()}\nlocal: {'the real model' if options.model else 'a scripted stand-in, which answers at once'}")
    return int(bool(asyncio.run(measure(plan(options), with_model=options.model))))


if __name__ == "__main__":
    sys.exit(main())
