"""Fetch one file from the Hugging Face hub, in a process of its own.

A transfer of many gigabytes has to end at once when nobody wants it any more, and huggingface_hub blocks; its import
takes half a second, of which a server that has its model need not know.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from models.catalog.entry import HubSource
from models.child import child
from models.download.job import Job, Report
from models.download.verify import Promise
from models.errors import DownloadFailed, FileCorrupt


async def fetch(source: HubSource, promise: Promise, target: Path, say: Callable[[str], None]) -> None:
    """Fetch, verify and place the file, whole or not at all; being cancelled stops it.

    What was fetched before a failure is kept, and gone on with by the next one.

    Args:
        source: which file.
        promise: what the catalogue says of its bytes.
        target: where it is to lie, in a folder that is there.
        say: takes progress, one line at a time. On a terminal there is a bar beside it.

    Raises:
        DownloadFailed: it cannot be fetched.
        FileCorrupt: other bytes came than were promised.

    """
    job = Job(
        repo=source.repo,
        file=source.file,
        revision=source.revision,
        target=str(target),
        sha256=promise.sha256,
        size_bytes=promise.size_bytes,
    )
    last, code = await _run(job, say)
    match last:
        case Report(kind="done", text=text):
            say(text)
        case Report(kind="corrupt", text=text):
            raise FileCorrupt(text)
        case Report(kind="failed", text=text):
            raise DownloadFailed(text)
        case _:
            raise DownloadFailed(f"the download of {source} {_how_it_ended(code)}: pull again, it goes on where it was")


async def _run(job: Job, say: Callable[[str], None]) -> tuple[Report | None, int]:
    """The last report, and the exit code."""
    is_watched = sys.stderr.isatty()
    last = None
    async with child(
        "models.download",
        msgspec.json.encode(job).decode(),
        stdout=asyncio.subprocess.PIPE,
        stderr=None if is_watched else asyncio.subprocess.DEVNULL,
        environ=_environment(is_watched=is_watched),
    ) as process:
        assert process.stdout is not None
        async for line in process.stdout:
            last = msgspec.json.decode(line, type=Report)
            if last.kind == "progress":
                say(last.text)
        return last, await process.wait()


def _environment(*, is_watched: bool) -> dict[str, str]:
    """Ours, and no word to the hub about who asks: by itself huggingface_hub tells which program started this one."""
    quiet = {} if is_watched else {"HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    return {"HF_HUB_DISABLE_TELEMETRY": "1", **os.environ, **quiet}


def _how_it_ended(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"crashed with exit code {code}"
