"""How a proxy is found, installed and started: data only, filled in for the place where it will run."""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which
from string import Template

_SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
_VERSION = re.compile(r"\d+\.\d+(?:\.\d+)*")


@dataclass(frozen=True, slots=True)
class Site:
    """Where a proxy runs: its port and the mock's, a work folder of its own, and what templates may name besides."""

    port: int
    upstream: int
    work: Path
    values: Mapping[str, str]

    def fill(self, text: str) -> str:
        """The text with `$port`, `$upstream`, `$work` and the other values in it."""
        known = {"port": str(self.port), "upstream": str(self.upstream), "work": str(self.work)}
        return Template(text).substitute(known | dict(self.values))


@dataclass(frozen=True, slots=True)
class Recipe:
    """One proxy. All strings are templates for `Site.fill`; headers are `Name: value`.

    `program` is what must be there for it to count as installed: a path, or a name to be found on the PATH.
    """

    name: str
    program: str
    command: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    headers: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    install: tuple[str, ...] = ()
    version: tuple[str, ...] = ()
    start_timeout_seconds: float = 20.0

    def is_installed(self, values: Mapping[str, str]) -> bool:
        """Whether its program is on this machine."""
        return find_program(Template(self.program).substitute(values)) is not None

    def installed_version(self, values: Mapping[str, str]) -> str:
        """What it says its version is; empty if it does not say."""
        command = [Template(part).substitute(values) for part in self.version]
        if not command:
            return ""
        program = find_program(command[0]) or command[0]
        result = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)
        found = _VERSION.search(result.stdout + result.stderr)
        return found[0] if found else ""


def find_program(name: str) -> str | None:
    """The path of what is there at that path, or under that name on the PATH and where daemons are kept; or None."""
    if "/" in name:
        return name if Path(name).exists() else None
    return which(name) or which(name, path=_SYSTEM_FOLDERS)
