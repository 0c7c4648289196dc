"""The `hotspare` command. Imports of aiohttp and uvloop wait until a command needs them: `--help` is instant."""

import argparse
import io
import os
import resource
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import proxy
from proxy.config import scalar
from proxy.config.fault import ConfigInvalid
from proxy.config.load import Source, read
from proxy.config.schema import Config, LocalSettings
from proxy.drill.options import MOST_SECONDS, SHAPES, Options
from proxy.errors import HotspareError

N = TypeVar("N", int, float)

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_INVALID = 2
EXIT_INTERRUPTED = 130
"""What a shell says of a command that Ctrl-C has ended."""

_DEFAULT_CONFIG = "hotspare.yaml"
_CLIENTS_MODEL = "gpt-4o-mini"
_drill_time = scalar.duration_at_most(MOST_SECONDS)


class Given(NamedTuple):
    """What a command works by."""

    path: Path
    source: Source
    config: Config


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code: 0 fine, 1 failed, 2 wrong usage or configuration, 130 interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["model"]:
        os.execv(sys.executable, [sys.executable, "-P", "-m", "models", *given[1:]])  # noqa: S606 - our own package
    options = _parser().parse_args(given)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except ConfigInvalid as error:
        for fault in error.faults:
            print(fault, file=sys.stderr)  # noqa: T201
        return EXIT_INVALID
    except HotspareError as error:
        print(f"hotspare: {error}", file=sys.stderr)  # noqa: T201
        return EXIT_FAILED
    finally:
        _let_go_of_stdout()


def _let_go_of_stdout() -> None:
    """What a reader who has gone did not take, the interpreter would complain about when it flushes, and exit 120."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hotspare",
        description="An OpenAI-compatible proxy that keeps applications answering when the cloud LLM goes down.",
        epilog="'hotspare COMMAND --help' tells more, with an example. Exit codes: 0 fine, 1 failed, 2 wrong usage or "
        "configuration.",
    )
    parser.add_argument("--version", action="version", version=f"hotspare {proxy.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_demo(commands)
    _add_drill(commands)
    _add(
        commands,
        "serve",
        _serve,
        "run the proxy",
        "Run the proxy until SIGTERM or Ctrl-C; then finish running requests and exit 0. A second signal ends it now.",
        "hotspare serve --config config.example.yaml",
    )
    _add(
        commands,
        "check",
        _check,
        "validate the configuration and try everything that it names",
        "Validate the configuration, resolve and try each upstream, load the local model and let it produce a token. "
        "Nothing is served. Exit codes: 0 all fine, 1 something does not work, 2 the configuration is invalid.",
        "hotspare check --config config.example.yaml",
    )
    commands.add_parser("model", help="choose, fetch, verify, measure or serve local models", add_help=False)
    return parser


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: Callable[[Given], int],
    summary: str,
    description: str,
    example: str,
) -> None:
    command = commands.add_parser(name, help=summary, description=description, epilog=f"example: {example}")
    command.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        default=Path(os.environ.get("HOTSPARE_CONFIG") or _DEFAULT_CONFIG),
        help=f"the configuration; config.example.yaml is the manual (default: $HOTSPARE_CONFIG or {_DEFAULT_CONFIG})",
    )
    command.set_defaults(run=partial(_configured, run))


def _configured(run: Callable[[Given], int], options: argparse.Namespace) -> int:
    source = read(options.config)
    return run(Given(options.config, source, source.parse(os.environ)))


def _add_demo(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "demo",
        help="see an outage and the rescue, with neither key nor network",
        description="A pretend cloud dies in the middle of an answer, and the local model finishes the sentence. All "
        "else is the real thing. Exit codes: 0 the answers were whole, 1 they were not, or there is no local model, "
        "130 interrupted.",
        epilog="example: hotspare demo --prompt 'Why do ships have lifeboats?'",
    )
    command.add_argument("--prompt", metavar="TEXT", help="what to ask while the cloud dies")
    command.add_argument(
        "--model",
        metavar="NAME|PATH",
        default=LocalSettings().model,
        help="the local model: of `hotspare model list`, or a GGUF file (default: %(default)s)",
    )
    command.add_argument("--fast", action="store_true", help="without pauses for reading")
    command.set_defaults(run=_demo)


def _add_drill(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "drill",
        help="make an upstream look dead for a while, and see who is rescued",
        description="The fault is made inside a running proxy that allows it (`drills: {allow: true}`); the upstream "
        "itself is not harmed. It ends by itself after the stated time, on Ctrl-C, and when a request fails. Exit "
        "codes: 0 every affected request was answered, 1 one was not or none was affected, 2 wrong usage, 130 "
        "interrupted.",
        epilog="example: hotspare drill --shape silent --share 5% --for 1m --json report.json",
    )
    command.add_argument("--shape", required=True, choices=SHAPES, metavar="SHAPE", help=", ".join(SHAPES))
    command.add_argument(
        "--for", required=True, dest="seconds", type=_read_as(_drill_time), metavar="TIME", help="30s, 2m: at most"
    )
    command.add_argument(
        "--share", type=_read_as(scalar.share), default=1.0, metavar="SHARE", help="of requests; 5%% (default: all)"
    )
    command.add_argument(
        "--upstream",
        action="append",
        default=[],
        metavar="NAME",
        help="which one (default: the first); may be given several times; `all`: all clouds, `local`: the local model",
    )
    command.add_argument(
        "--only-model", metavar="NAME", help="only this one of its models, by the upstream's own name for it"
    )
    command.add_argument("--proxy", default="http://127.0.0.1:8080", metavar="URL", help="(default: %(default)s)")
    command.add_argument("--admin", metavar="URL", help="where its operations pages are, if not there too")
    command.add_argument(
        "--clients",
        type=_read_as(scalar.whole(0)),
        default=0,
        metavar="N",
        help="clients of the drill's own, with the key in OPENAI_API_KEY",
    )
    command.add_argument("--model", help=f"what they ask for (default: that of --only-model, or {_CLIENTS_MODEL})")
    command.add_argument(
        "--wait",
        type=_read_as(scalar.duration),
        default=180.0,
        metavar="TIME",
        help="to watch the return (default: 3m)",
    )
    command.add_argument("--json", type=Path, metavar="FILE", help="write the report there, too")
    command.set_defaults(run=_drill)


def _read_as(parse: Callable[[str], N]) -> Callable[[str], N]:
    """The configuration's own parser, as argparse wants it."""

    def read_argument(raw: str) -> N:
        try:
            return parse(raw)
        except scalar.Unreadable as error:
            raise argparse.ArgumentTypeError(f"{raw!r} {error.problem}; {error.remedy}") from None

    return read_argument


def _serve(given: Given) -> int:
    import asyncio

    import uvloop

    from proxy.telemetry import log
    from proxy.workers.cpus import worker_count

    config = given.config
    slots = worker_count(config.workers)
    _raise_descriptor_limit()
    with (
        log.configured(config.log.format, config.log.level),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        if slots == 1:
            from proxy.app import serve

            runner.run(serve(config))
        else:
            from proxy.workers import fleet

            runner.run(fleet.serve(given.path, given.source, config, slots))
    return EXIT_OK


def _raise_descriptor_limit() -> None:
    """Each stream takes two descriptors, and the usual soft limit of 1,024 is for programs that call select()."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS says unlimited, and refuses it
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _check(given: Given) -> int:
    import asyncio

    from proxy.check import check
    from proxy.telemetry import log

    with log.configured("human", "error"):
        try:
            return EXIT_OK if asyncio.run(check(given.config, sys.stdout)) else EXIT_FAILED
        except asyncio.CancelledError:  # by SIGTERM, or the end of the terminal
            return EXIT_INTERRUPTED


def _drill(options: argparse.Namespace) -> int:
    import asyncio

    from proxy.drill.run import drill

    told = Options(
        shape=options.shape,
        upstreams=tuple(options.upstream),
        only_model=options.only_model,
        share=options.share,
        seconds=options.seconds,
        proxy=options.proxy.rstrip("/").removesuffix("/v1"),
        admin=(options.admin or options.proxy).rstrip("/").removesuffix("/v1"),
        clients=options.clients,
        model=options.model or options.only_model or _CLIENTS_MODEL,
        key=os.environ.get("OPENAI_API_KEY") or "none",
        wait_seconds=options.wait,
        json=options.json,
    )
    try:
        return asyncio.run(drill(told, sys.stdout))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return EXIT_INTERRUPTED


def _demo(options: argparse.Namespace) -> int:
    try:
        _show_demo(options)
    except KeyboardInterrupt:
        sys.stdout.write("\n")  # the shell's prompt does not belong behind half a sentence
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # whoever read has seen enough
        return EXIT_FAILED
    return EXIT_OK


def _show_demo(options: argparse.Namespace) -> None:
    import asyncio

    import uvloop

    from proxy.demo.run import Options, demo
    from proxy.telemetry import log

    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that lacks a letter of the model's is no reason to stop
        sys.stdout.reconfigure(errors="replace")
    with log.configured("human", "error"), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(demo(Options(options.prompt, options.model, options.fast), sys.stdout))
        except asyncio.CancelledError:  # by SIGTERM, or the end of the terminal
            raise KeyboardInterrupt from None


if __name__ == "__main__":
    sys.exit(main())
