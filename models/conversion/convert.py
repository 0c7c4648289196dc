"""Convert a file in a process of its own: llama.cpp aborts on damaged input, and a call into it cannot be cancelled."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from models.catalog.gguf import header_of
from models.child import child
from models.conversion.naming import outdated
from models.download.workplace import sweep, workplace
from models.errors import ConversionFailed

_PREFIX: Final = ".convert-"

_PROGRESS_SECONDS: Final = 10.0

# Two slow cores write some 50 MB/s, so that 30 GB fit into it. It is there for a disk that does not answer any more.
_LIMIT_SECONDS: Final = 600.0


async def convert(source: Path, target: Path, threads: int, say: Callable[[str], None]) -> None:
    """Make `target` from `source`, whole or not at all, and remove what was made of former contents of `source`.

    Two conversions at once both end well: each works in a folder of its own, and the last step is one atomic rename.
    Being cancelled stops it.

    Args:
        source: a GGUF file.
        target: in a folder that can be written.
        threads: to compute with.
        say: takes progress, one line at a time.

    Raises:
        ConversionFailed: llama.cpp could not do it, died of it, or took too long.
        HeaderInvalid: what llama.cpp made is no whole GGUF file.
        OSError: the folder cannot be written.

    """
    folder = target.parent
    await asyncio.to_thread(sweep, folder, _PREFIX, time.time())
    with workplace(folder, _PREFIX) as place:
        made = place / target.name
        await _run(source, made, threads, say)
        await asyncio.to_thread(header_of, made)  # which would not take half a file
        made.replace(target)
    await asyncio.to_thread(_remove_outdated, target)


async def _run(source: Path, made: Path, threads: int, say: Callable[[str], None]) -> None:
    progress = asyncio.create_task(_tell_progress(made, say))
    try:
        async with asyncio.timeout(_LIMIT_SECONDS):
            code, complaint = await _run_child(source, made, threads)
    except TimeoutError as error:
        raise ConversionFailed(f"the conversion took over {_LIMIT_SECONDS:.0f} s") from error
    finally:
        progress.cancel()
    if code != 0:
        raise ConversionFailed(_why(code, complaint))


async def _run_child(source: Path, made: Path, threads: int) -> tuple[int, bytes]:
    """Its exit code, and what it wrote to stderr."""
    pipes = asyncio.subprocess
    arguments = (str(source), str(made), str(threads))
    async with child("models.conversion", *arguments, stdout=pipes.DEVNULL, stderr=pipes.PIPE) as process:
        assert process.stderr is not None
        complaint = await process.stderr.read()
        return await process.wait(), complaint


async def _tell_progress(made: Path, say: Callable[[str], None]) -> None:
    while True:
        await asyncio.sleep(_PROGRESS_SECONDS)
        with contextlib.suppress(OSError):  # it has not begun to write, or is done
            written = await asyncio.to_thread(made.stat)
            say(f"converting: {written.st_size / 1e6:.0f} MB are written")


def _why(code: int, complaint: bytes) -> str:
    if code < 0:
        return f"the conversion was ended by {signal.Signals(-code).name}: there may be too little memory"
    lines = complaint.decode(errors="replace").strip().splitlines()
    return f"the conversion failed: {lines[-1] if lines else f'exit code {code}'}"


def _remove_outdated(target: Path) -> None:
    with contextlib.suppress(OSError):  # somebody else's, or gone already: it only takes room
        for name in outdated(target, [path.name for path in target.parent.iterdir()]):
            target.with_name(name).unlink()
