"""The mock upstream and the load driver, written in C and compiled on first use.

In Python they would saturate before the proxies do: the two share one core, and have to offer more than a proxy on
another core can pass on.
"""

import hashlib
import os
import subprocess
from pathlib import Path
from shutil import which

_SOURCES = Path(__file__).parent / "src"
_FLAGS = ("-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra")
_HASH_LENGTH = 12


class NoCompiler(RuntimeError):
    """The C programs cannot be built; says what to do about it."""


def cache_folder() -> Path:
    """Where compiled programs and installed peers are kept: `hotspare-bench` in the user's cache folder."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "hotspare-bench"


def build(name: str, folder: Path) -> Path:
    """The program of that name, compiled into `folder` unless one of the same sources is there. Raises NoCompiler."""
    program = folder / f"{name}-{_fingerprint(name)}"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _compile(_SOURCES / f"{name}.c", program)
    return program


def _fingerprint(name: str) -> str:
    parts = [*_FLAGS, *(path.read_text() for path in (_SOURCES / f"{name}.c", *sorted(_SOURCES.glob("*.h"))))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:_HASH_LENGTH]


def _compile(source: Path, program: Path) -> None:
    compiler = which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise NoCompiler("no C compiler: set CC, or install one (on Debian: apt-get install gcc libc6-dev)")
    # Under another name first: two runs at once must not execute what is half written.
    unfinished = program.with_suffix(f".{os.getpid()}")
    arguments = [compiler, *_FLAGS, "-o", str(unfinished), str(source), "-lm"]
    result = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if result.returncode:
        raise NoCompiler(f"{source.name} does not compile (it needs Linux 5.11 and glibc 2.35):\n{result.stderr}")
    unfinished.rename(program)
