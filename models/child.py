"""A process of ours and whoever started it, bound by the child's standard input: its end says that the parent is gone,
whatever killed it.
"""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from models.errors import EXIT_CRASHED

_STDIN: Final = 0


@asynccontextmanager
async def child(
    module: str,
    *arguments: str,
    stdout: int | None = None,
    stderr: int | None = None,
    environ: Mapping[str, str] | None = None,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `python -m module` beside us. It is killed when the block is left, if it runs by then.

    Args:
        module: the package whose `__main__` it is; it calls `end_with_parent`.
        arguments: its command line.
        stdout: as asyncio's subprocesses take it; None is ours.
        stderr: likewise.
        environ: its environment; None is ours.

    """
    # -P: a folder `models` where the user stands is somebody else's.
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", module, *arguments),
        stdin=asyncio.subprocess.PIPE,  # never written
        stdout=stdout,
        stderr=stderr,
        env=environ,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def end_with_parent(exit_code: int = EXIT_CRASHED, heard: Callable[[], None] = lambda: None) -> None:
    """Leave at once when standard input ends, also in the middle of a call into llama.cpp.

    Args:
        exit_code: to leave with.
        heard: called, on a thread of its own, when the parent has written something.

    """

    def listen() -> None:
        while os.read(_STDIN, 4096):
            heard()
        os._exit(exit_code)

    threading.Thread(target=listen, name="lifeline", daemon=True).start()
