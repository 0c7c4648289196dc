"""The command line."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from time import time_ns

from tests.bench.serving.client import base_url
from tests.bench.serving.plan import OVERFLOW_CLIENTS, OVERFLOW_OUTPUT_TOKENS, Mode
from tests.bench.serving.prompt import Kind
from tests.bench.serving.server import Server

_EPILOG = """\
{port} in a command is the port to listen on, {clients} the number of clients of the burst. Servers that are launched
run one at a time; those that run already (--server) can be measured warm only. The first server that is named is what
the others are compared with. Exit status: 0; 1 if a request to the first server failed; 2 if nothing was measured.

example: python -m tests.bench.serving --cold --prompts shared --clients 8,32 \\
           --launch hotspare='hotspare model serve --listen 127.0.0.1:{port}' \\
           --launch llama-server='llama-cpp-server -m model.gguf --port {port} -- -c 32768 -np {clients} -fa on -t 2'
"""


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What is wanted: `servers` in the order in which they are named, `modes` and `kinds` as lists, the rest as given.

    Ends the program if it makes no sense.
    """
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.serving",
        description="Measures servers of language models beside each other: tokens/s, time to the first token (TTFT)"
        " and between tokens.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_targets(parser)
    _add_loads(parser)
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure of every round here")
    parser.add_argument("--report", type=Path, metavar="FILE.md", help="write the tables here, too")
    options = parser.parse_args(arguments)
    options.modes = [mode for mode in Mode if getattr(options, mode.value)] or list(Mode)
    options.kinds = [kind for kind in Kind if options.prompts in (kind.value, "both")]
    if fault := _fault(options):
        parser.error(fault)
    return options


def _fault(options: argparse.Namespace) -> str | None:
    if not options.servers:
        return "name a server: --server NAME=URL or --launch NAME='COMMAND'"
    names = [server.name for server in options.servers]
    if len(set(names)) < len(names):
        return f"two servers have one name: {', '.join(names)}"
    if options.modes == [Mode.COLD] and not any(server.is_launched for server in options.servers):
        return "what runs already cannot be had cold: --cold needs --launch"
    return None


def _add_targets(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--server", dest="servers", action="append", type=_server, metavar="NAME=URL", help="one that runs already"
    )
    parser.add_argument(
        "--launch", dest="servers", action="append", type=_launch, metavar="NAME=COMMAND", help="one to start and stop"
    )
    parser.add_argument("--model", metavar="ID", help="default: the first that a server lists")
    parser.add_argument("--key-variable", metavar="NAME", help="the environment variable that holds an API key")
    parser.add_argument("--start-timeout", type=float, default=120.0, metavar="SECONDS", help="default: %(default)s")
    parser.add_argument("--answer-timeout", type=float, default=600.0, metavar="SECONDS", help="default: %(default)s")


def _add_loads(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--clients", type=_numbers, default=[1, 4, 8, 16, 32, 64], metavar="N,N,…", help="default: 1,4,8,16,32,64")
    add("--prompts", choices=[*(kind.value for kind in Kind), "both"], default="both", help="default: %(default)s")
    add("--cold", action="store_true", help="a fresh process for each burst; default: both cold and warm")
    add("--warm", action="store_true", help="a process that is in use")
    add("--prompt-tokens", type=int, default=220, help="default: %(default)s")
    add("--shared-tokens", type=int, default=150, help="of these; default: %(default)s")
    add("--output-tokens", type=int, default=64, help="default: %(default)s")
    add("--requests", type=int, default=1, help="of each client, one after the other; default: %(default)s")
    add("--seed", default=str(time_ns()), help="makes the prompts; default: new ones, which no server has cached")
    add("--long", action="store_true", help="instead of bursts: a long prompt among 4 streams")
    add("--long-tokens", type=int, default=5_000, help="default: %(default)s")
    add(
        "--overflow",
        action="store_true",
        help=f"instead of bursts: {OVERFLOW_CLIENTS} clients with answers of {OVERFLOW_OUTPUT_TOKENS} tokens;"
        " give the servers too small a KV cache for them",
    )


def _named(text: str, read: Callable[[str, str], Server]) -> Server:
    name, separator, value = text.partition("=")
    if not (name and separator and value):
        raise argparse.ArgumentTypeError(f"not NAME=…: {text}")
    return read(name, value)


def _server(text: str) -> Server:
    try:
        return _named(text, lambda name, url: Server(name, url=base_url(url)))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _launch(text: str) -> Server:
    return _named(text, lambda name, command: Server(name, command=command))


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]
