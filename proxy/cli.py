"""The `hotspare` command. Imports of aiohttp and uvloop wait until a command needs them: `--help` is instant."""

import argparse
import os
import resource
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import proxy
from proxy.config.fault import ConfigInvalid
from proxy.config.load import Source, read
from proxy.config.schema import Config
from proxy.errors import HotspareError

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_INVALID = 2

_DEFAULT_CONFIG = "hotspare.yaml"


class Given(NamedTuple):
    """What a command works by."""

    path: Path
    source: Source
    config: Config


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code: 0 fine, 1 failed, 2 wrong usage or configuration."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["model"]:
        os.execv(sys.executable, [sys.executable, "-P", "-m", "models", *given[1:]])  # noqa: S606 - our own package
    options = _parser().parse_args(given)
    run: Callable[[Given], int] = options.run
    try:
        source = read(options.config)
        return run(Given(options.config, source, source.parse(os.environ)))
    except ConfigInvalid as error:
        for fault in error.faults:
            print(fault, file=sys.stderr)  # noqa: T201
        return EXIT_INVALID
    except HotspareError as error:
        print(f"hotspare: {error}", file=sys.stderr)  # noqa: T201
        return EXIT_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hotspare",
        description="An OpenAI-compatible proxy that keeps applications answering when the cloud LLM goes down.",
        epilog="'hotspare COMMAND --help' tells more, with an example. Exit codes: 0 fine, 1 failed, 2 wrong usage or "
        "configuration.",
    )
    parser.add_argument("--version", action="version", version=f"hotspare {proxy.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
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
    commands.add_parser("model", help="list, fetch, verify or serve local models", add_help=False)
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
    command.set_defaults(run=run)


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
        return EXIT_OK if asyncio.run(check(given.config, sys.stdout)) else EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main())
