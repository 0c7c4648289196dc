"""The command line: `hotspare model {serve,list,pull,verify,fit,bench}`.

Every failure is one line on stderr that says what to do; a traceback is a bug of ours.

What one command alone needs is imported in it: a supervised server starts again and again, and pays for each import.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NoReturn

from models import log
from models.catalog.catalog import DEFAULT_MODEL
from models.catalog.entry import CatalogEntry
from models.catalog.locate import ModelFile, catalogue, file_of, known, locate, models_folder
from models.columns import render_columns
from models.conversion.choice import SLOW_FORMATS
from models.conversion.naming import copy_path
from models.conversion.tiling import AMX_WISHES, AmxWish
from models.errors import EXIT_OK, EXIT_SETUP, EXIT_USAGE, FileCorrupt, ModelsError, UsageError
from models.server.settings import Endpoint, ServeSettings, TcpEndpoint, UnixEndpoint

PROG: Final = "hotspare model"

_EXIT_CODES: Final = "exit codes: 0 fine, 1 crashed, 2 wrong usage, 3 the model cannot be had, loaded or served"

# Priority below the proxy's: while both want the CPU, forwarding comes first and tokens a little later.
_SUPERVISED_NICENESS: Final = 5

_MEBIBYTE: Final = 1 << 20


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; try `{self.prog} --help`")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code.

    Args:
        argv: without the program's name; None for sys.argv.

    """
    try:
        arguments = _parser().parse_args(argv)
        command: Callable[[argparse.Namespace], int] = arguments.command
        return command(arguments)
    except UsageError as error:
        return _complain(error, EXIT_USAGE)
    except ModelsError as error:
        return _complain(error, EXIT_SETUP)


def _complain(error: ModelsError, code: int) -> int:
    sys.stderr.write(f"{PROG}: {error}\n")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog=PROG, description="The local model: a small OpenAI-compatible server.", epilog=_EXIT_CODES)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(_add(commands, "serve", _serve, "serve a model on a socket or port", "--listen 127.0.0.1:8081"))
    _add(commands, "list", _list, "show the known models and where they are", "")
    names = _add(commands, "pull", _pull, "fetch a model", DEFAULT_MODEL)
    names.add_argument("name", help="a name that `list` shows")
    _add_convert(names)
    _add_amx(names)
    names = _add(commands, "verify", _verify, "check a model's file against what was promised", DEFAULT_MODEL)
    names.add_argument("name", help="a name that `list` shows")
    fit = _add(
        commands, "fit", _fit, "say which models fit into this machine's memory, and which is the best", "--json"
    )
    fit.add_argument("--json", action="store_true", help="for programs")
    fit.add_argument("--context", type=_at_least(64), default=8192, metavar="TOKENS", help="default %(default)s")
    fit.add_argument("--parallel", type=_auto_or(1), default=None, metavar="auto|N", help="answers at once")
    bench = _add(commands, "bench", _bench, "measure how fast a model reads and writes here", DEFAULT_MODEL)
    bench.add_argument("model", metavar="NAME|PATH", help="its file has to be here")
    bench.add_argument("--json", action="store_true", help="for programs")
    _add_amx(bench)
    bench.add_argument(
        "--seconds", type=_at_least(1), default=5, metavar="N", help="for each rate at most; default %(default)s"
    )
    return parser


def _add(
    commands: "argparse._SubParsersAction[_Parser]",
    name: str,
    command: Callable[[argparse.Namespace], int],
    summary: str,
    example: str,
) -> _Parser:
    epilog = f"example: {PROG} {name} {example}".rstrip() + f"\n{_EXIT_CODES}"
    form = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser(name, help=summary, description=summary, epilog=epilog, formatter_class=form)
    parser.set_defaults(command=command)
    return parser


def _add_serve(parser: _Parser) -> None:
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--socket", metavar="PATH", help="listen on a unix socket")
    where.add_argument("--listen", metavar="HOST:PORT", default="127.0.0.1:8081", help="default %(default)s")
    parser.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME|PATH", help="default %(default)s")
    parser.add_argument("--context", type=_at_least(64), default=8192, metavar="TOKENS", help="default %(default)s")
    parser.add_argument(
        "--parallel", type=_auto_or(1), default=None, metavar="auto|N", help="answers at once; default: 16, 64 on a GPU"
    )
    parser.add_argument(
        "--kv", choices=("auto", "split", "unified"), default="auto", help="layout of the cache, default %(default)s"
    )
    parser.add_argument(
        "--kv-memory", type=_auto_or(16), default=None, metavar="auto|MIB", help="for the cache; default: at most 512"
    )
    parser.add_argument("--share-prefixes", action="store_true", help="reuse a prompt's beginning between clients")
    parser.add_argument("--allow-grammars", action="store_true", help="take `grammar` (GBNF) from clients you trust")
    parser.add_argument("--deterministic", action="store_true", help="the same text alone and among others; slower")
    parser.add_argument("--threads", type=_auto_or(1), default=None, metavar="auto|N", help="default: granted CPUs")
    parser.add_argument(
        "--gpu-layers", type=_auto_or(0), default=None, metavar="auto|N", help="default: all if there is a GPU"
    )
    _add_amx(parser)
    parser.add_argument(
        "--canary", type=_at_least(0), default=300, metavar="SECONDS", help="try it so often, 0 never; default 300"
    )
    parser.add_argument("--queue", type=_at_least(1), default=256, metavar="N", help="waiting requests, default 256")
    parser.add_argument("--body-limit", type=_at_least(1), default=64, metavar="MIB", help="default %(default)s")
    parser.add_argument("--no-pull", action="store_true", help="fail if the model is absent instead of fetching it")
    _add_convert(parser)
    parser.add_argument("--supervised", action="store_true", help="report on stdout, end when stdin ends")
    parser.add_argument("--standby", action="store_true", help="with --supervised: load when a line comes on stdin")
    parser.add_argument("--log-format", choices=("json", "human"), default="human", help="default %(default)s")
    parser.add_argument("--log-level", choices=log.LEVELS, default="info", help="default %(default)s")


def _add_convert(parser: _Parser) -> None:
    parser.add_argument(
        "--convert",
        choices=("auto", "off"),
        default="auto",
        help="auto: a file that is slow on this CPU is converted once, beside itself; default %(default)s",
    )


def _add_amx(parser: _Parser) -> None:
    parser.add_argument(
        "--amx",
        choices=AMX_WISHES,
        default="auto",
        help="compute with Intel's tile unit; auto: where model and build are known to work; default %(default)s",
    )


def _at_least(minimum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < minimum:
            raise argparse.ArgumentTypeError(f"must be a whole number, at least {minimum}, not {text!r}")
        return int(text)

    return parse


def _auto_or(minimum: int) -> Callable[[str], int | None]:
    parse = _at_least(minimum)
    return lambda text: None if text == "auto" else parse(text)


def parse_listen(text: str) -> TcpEndpoint:
    """HOST:PORT, an IPv6 host in brackets.

    Raises:
        UsageError: it is neither.

    """
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"--listen wants HOST:PORT, such as 127.0.0.1:8081, not {text!r}")
    return TcpEndpoint(host.removeprefix("[").removesuffix("]"), int(port))


def _serve(arguments: argparse.Namespace) -> int:
    # Before llama.cpp is loaded, and before any thread is started.
    if arguments.supervised:
        os.nice(_SUPERVISED_NICENESS)
    _quiet_llama()
    log.configure(arguments.log_format, arguments.log_level)
    from models.server.lifeline import Lifeline
    from models.server.serve import run

    settings = _settings(arguments)
    lifeline = Lifeline()
    if settings.is_supervised:
        lifeline.hold()
    return run(settings, lifeline.wanted)


def _quiet_llama() -> None:
    """What llama.cpp and libgomp read from the environment when they are loaded."""
    # gdb, where installed, would be started for a backtrace by a crash: seconds lost.
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")
    # libgomp's threads spin at barriers; unbounded, they fight with everything else on the same cores (8 x slower).
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")


def _settings(arguments: argparse.Namespace) -> ServeSettings:
    if arguments.standby and not arguments.supervised:
        raise UsageError("--standby waits for a supervisor: give --supervised, or leave it out")
    endpoint: Endpoint = UnixEndpoint(arguments.socket) if arguments.socket else parse_listen(arguments.listen)
    return ServeSettings(
        endpoint=endpoint,
        model=arguments.model,
        folder=models_folder(os.environ),
        context_tokens=arguments.context,
        parallel=arguments.parallel,
        kv=arguments.kv,
        kv_bytes=None if arguments.kv_memory is None else arguments.kv_memory * _MEBIBYTE,
        shares_prefixes=arguments.share_prefixes,
        allows_grammars=arguments.allow_grammars,
        is_deterministic=arguments.deterministic,
        threads=arguments.threads,
        gpu_layers=arguments.gpu_layers,
        amx=arguments.amx,
        canary_seconds=arguments.canary,
        queue_limit=arguments.queue,
        body_limit_bytes=arguments.body_limit * _MEBIBYTE,
        may_pull=not arguments.no_pull,
        may_convert=arguments.convert == "auto",
        is_supervised=arguments.supervised,
        is_held=arguments.standby,
    )


def _list(_arguments: argparse.Namespace) -> int:
    _show(render_table(models_folder(os.environ)))
    return EXIT_OK


def render_table(folder: Path) -> str:
    """The catalogue, one model a line. Raises CatalogInvalid."""
    rows: list[tuple[str, ...]] = [("NAME", "SIZE", "FORMAT", "CONTEXT", "LICENCE", "CONVERTED", "WHERE")]
    rows += [_row(file_of(entry, folder), entry) for entry in catalogue(folder).values()]
    return render_columns(rows)


def _row(model: ModelFile, entry: CatalogEntry) -> tuple[str, ...]:
    from models.catalog.present import filled

    entry = filled(entry, model)
    size = "?" if entry.likely_bytes is None else f"{entry.likely_bytes / 1e6:.0f} MB"
    context = "?" if entry.context_tokens is None else str(entry.context_tokens)
    is_present = model.is_present
    copy = "yes" if is_present and copy_path(model).is_file() else "no" if entry.quantization in SLOW_FORMATS else "-"
    where = str(model.path) if is_present else "not here"
    return entry.name, size, entry.quantization or "?", context, entry.licence or "?", copy, where


def _pull(arguments: argparse.Namespace) -> int:
    import asyncio

    folder = models_folder(os.environ)
    asyncio.run(_fetch(known(arguments.name, folder), folder, arguments))
    return EXIT_OK


async def _fetch(entry: CatalogEntry, folder: Path, arguments: argparse.Namespace) -> None:
    from models.download.pull import pull

    await pull(entry, folder, _say)
    if arguments.convert == "auto":
        await _convert(file_of(entry, folder), arguments.amx)


async def _convert(model: ModelFile, amx: AmxWish) -> None:
    import asyncio

    from models.conversion.fastest import Observer, fastest_file
    from models.conversion.means import survey
    from models.conversion.tiling import choose_tiling

    uses_tiles = (await asyncio.to_thread(choose_tiling, model.path, amx)).uses_tiles
    means = await asyncio.to_thread(survey, uses_tiles=uses_tiles)
    await fastest_file(model, means, Observer(_say, _say, lambda: None))


def _verify(arguments: argparse.Namespace) -> int:
    from models.download.verify import best_promise, check_file, check_form

    model = locate(arguments.name, models_folder(os.environ))
    check_form(model.path)
    promise = best_promise(model)
    if promise is None:
        remedy = "give its sha256 in catalog.yaml, or remove it and pull it"
        raise FileCorrupt(f"{model.path} is a whole GGUF file, but nobody says which bytes it should have: {remedy}")
    digest = check_file(model.path, promise)
    _say(f"{model.name} is right: sha256 {digest.sha256}, as {promise.promiser} said")
    return EXIT_OK


def _fit(arguments: argparse.Namespace) -> int:
    from models.engine.sizing import Wishes
    from models.fit.advice import advise, judge
    from models.fit.look import candidate
    from models.fit.report import render, render_json
    from models.fit.survey import survey

    folder = models_folder(os.environ)
    machine = survey()
    wishes = Wishes(arguments.context, arguments.parallel)
    verdicts = [judge(candidate(entry, folder), machine, wishes) for entry in catalogue(folder).values()]
    _show((render_json if arguments.json else render)(verdicts, advise(verdicts), machine))
    return EXIT_OK


def _bench(arguments: argparse.Namespace) -> int:
    from models.bench import table
    from models.bench.run import bench, peak_memory_bytes
    from models.conversion.fastest import present_file
    from models.conversion.tiling import choose_tiling
    from models.download.verify import check_form

    _quiet_llama()
    model = locate(arguments.model, models_folder(os.environ))
    tiling = choose_tiling(model.path, arguments.amx)
    path = present_file(model, uses_tiles=tiling.uses_tiles)
    check_form(path)
    _say(str(tiling))
    measured = bench(path, arguments.seconds, _say, uses_tiles=tiling.uses_tiles)
    _show((table.render_json if arguments.json else table.render)(measured, peak_memory_bytes()))
    return EXIT_OK


def _show(text: str) -> None:
    """On standard output. Whoever has stopped reading has seen enough, which the interpreter would complain about."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(line: str) -> None:
    sys.stderr.write(f"{PROG}: {line}\n")
