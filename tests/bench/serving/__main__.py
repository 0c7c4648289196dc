"""The command: bursts of clients, a long prompt among streams, or more than fits the KV cache, server beside server."""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace

import uvloop

from tests.bench import process
from tests.bench.serving import burst, interruption, report
from tests.bench.serving.access import Access
from tests.bench.serving.burst import Load, Result
from tests.bench.serving.interruption import Pause
from tests.bench.serving.options import parse
from tests.bench.serving.plan import OVERFLOW_OUTPUT_TOKENS, Plan, overflow
from tests.bench.serving.prompt import USUAL_SCALE, Scale
from tests.bench.serving.report import Section
from tests.bench.target import NotServing

_TITLE = "# Servers of language models side by side"
_NOTES = """\
Median of {rounds} round(s); in parentheses the ratio to {first}. On a shared machine trust the ratios.{about_bursts}

    {command}
"""
_ABOUT_BURSTS = """
Prompts of about {prompt} tokens, of which {shared} are the same for all clients of a burst where prompts are shared;
answers of {output}. Cold: a process of its own for each burst, after one short request. Warm: after a burst with the
same beginning, if there is one. Tokens/s count from the first request to the last end.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """See the epilog of `--help`."""
    options = parse(arguments)
    command = shlex.join(["python", "-m", "tests.bench.serving", *(sys.argv[1:] if arguments is None else arguments)])
    about = {"machine": process.machine(), "command": command, "seed": options.seed}
    try:
        sections, has_failed = uvloop.run(_measure(options))
    except NotServing as error:
        _say(str(error))
        return 2
    text = _page(sections, options, about)
    print(text)
    if options.report:
        options.report.write_text(text)
    if options.json:
        options.json.write_bytes(report.as_json(about, sections))
    return int(has_failed) if sections else 2


def _say(text: str) -> None:
    print(f"serving: {text}", file=sys.stderr)


def _page(sections: Sequence[Section], options: argparse.Namespace, about: dict[str, str]) -> str:
    about_bursts = _ABOUT_BURSTS.rstrip().format(
        prompt=options.prompt_tokens, shared=options.shared_tokens, output=options.output_tokens
    )
    notes = _NOTES.format(
        rounds=options.rounds,
        first=options.servers[0].name,
        about_bursts="" if options.long or options.overflow else about_bursts,
        command=about["command"],
    )
    return "\n".join([_TITLE, "", f"{about['machine']}; seed {about['seed']}.", "", *map(str, sections), notes])


async def _measure(options: argparse.Namespace) -> tuple[list[Section], bool]:
    """The sections of the report, and whether the first server has failed at anything."""
    key = os.environ[options.key_variable] if options.key_variable else None
    access = Access(options.model, key, options.start_timeout, options.answer_timeout)
    scale = await _scale(access, options)
    size = scale.size(options.prompt_tokens, options.shared_tokens)
    load = Load(options.seed, size, options.output_tokens, options.requests)
    names = [server.name for server in options.servers]
    sections: list[Section] = []
    results: list[Result] = []
    pauses: dict[str, list[Pause]] = {}
    if options.long:
        pauses = await _long(access, scale, options)
        sections.append(report.interruptions(pauses))
    if options.overflow:
        plan = overflow(options.servers, options.rounds)
        results = await _bursts(access, replace(load, output_tokens=OVERFLOW_OUTPUT_TOKENS, requests=1), plan)
        sections.append(report.burst_section("More than the KV cache holds", results, names))
    if not sections:
        plan = Plan(options.servers, options.modes, options.kinds, options.clients, options.rounds)
        results = await _bursts(access, load, plan)
        sections += report.bursts(results, names)
    has_failed = any(result.figures.failed for result in results if result.server == names[0])
    return sections, has_failed or any(pause.fault for pause in pauses.get(names[0], ()))


async def _scale(access: Access, options: argparse.Namespace) -> Scale:
    """Of the first server's model: all of them get the same prompts."""
    first = options.servers[0]
    scale = await access.scale(first, options.seed)
    if scale is None:
        _say(f"{first.name} does not report usage that makes sense: prompts may be longer or shorter than asked for")
    return scale or USUAL_SCALE


async def _bursts(access: Access, load: Load, plan: Plan) -> list[Result]:
    results = []
    async for result in burst.measure(access, load, plan.turns(), left_out=_say):
        print(report.line(result), file=sys.stderr, flush=True)
        results.append(result)
    return results


async def _long(access: Access, scale: Scale, options: argparse.Namespace) -> dict[str, list[Pause]]:
    pauses: dict[str, list[Pause]] = {server.name: [] for server in options.servers}
    for number in range(options.rounds):
        for server in options.servers[:: -1 if number % 2 else 1]:
            try:
                async with access.to(server, interruption.CLIENTS) as caller:
                    key = f"{options.seed}/{number}"
                    pause = await interruption.measure(caller, scale, options.long_tokens, key)
            except NotServing as error:
                _say(str(error))
                continue
            pauses[server.name].append(pause)
            print(report.pause_line(server.name, pause), file=sys.stderr, flush=True)
    return pauses


if __name__ == "__main__":
    sys.exit(main())
