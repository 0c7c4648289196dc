"""The configuration file to a `Config`, or every reason why not."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path

from proxy.config.build import build
from proxy.config.document import Malformed, compose
from proxy.config.fault import ConfigInvalid, Fault
from proxy.config.reading import Reading
from proxy.config.schema import Config
from proxy.config.validate import findings


@dataclass(frozen=True, slots=True)
class Source:
    """A configuration file as it was read: workers start from the very text that was found valid."""

    file: str
    text: str = field(repr=False)

    def parse(self, environment: Mapping[str, str]) -> Config:
        """What the text means, with `${NAME}` taken from `environment`. Raises ConfigInvalid."""
        return parse(self.text, environment, file=self.file)


def read(path: Path) -> Source:
    """The file at `path`. Raises ConfigInvalid."""
    try:
        return Source(str(path), path.read_text(encoding="utf-8"))
    except OSError as error:
        remedy = "name one by --config; config.example.yaml is a start"
        raise _unusable(path, f"cannot be read: {error.strerror}", remedy) from error
    except UnicodeDecodeError as error:
        raise _unusable(path, "is not UTF-8", "save it as UTF-8") from error


def load(path: Path, environment: Mapping[str, str]) -> Config:
    """Read the file at `path`, with `${NAME}` taken from `environment`. Raises ConfigInvalid."""
    return read(path).parse(environment)


def parse(text: str, environment: Mapping[str, str], *, file: str) -> Config:
    """As `load`, for a text; `file` is what faults call it. Raises ConfigInvalid."""
    try:
        root = compose(text)
    except Malformed as error:
        raise ConfigInvalid((Fault(file, error.line, "", error.problem, error.remedy),)) from None
    reading = Reading(file, environment)
    config = Config() if root is None or reading.is_null(root) else build(Config, root, reading)
    faults = [*reading.faults, *_broken_rules(config, reading, file)]
    if faults:
        raise ConfigInvalid(tuple(sorted(faults, key=lambda fault: fault.line or 0)))
    return config


def _broken_rules(config: Config, reading: Reading, file: str) -> Iterator[Fault]:
    known = [each.name for each in fields(Config)]
    faulty = {_segments(fault.key)[0] for fault in reading.faults}
    # A section under a misspelt name looks absent to the rules that read it.
    faulty.update(near for key in faulty.difference(known) for near in get_close_matches(key, known, n=1))
    for key, problem, remedy in findings(config, reading.lines.keys(), faulty):
        yield Fault(file, _line_of(key, reading.lines), key, problem, remedy)


def _line_of(key: str, lines: Mapping[str, int]) -> int:
    """The line of `key`, or else of the closest section around it that was written; the first line at worst."""
    segments = _segments(key)
    paths = ("".join(segments[:length]) for length in range(len(segments), 0, -1))
    return next((lines[path] for path in paths if path in lines), 1)


def _segments(key: str) -> list[str]:
    return re.findall(r"^[^.[]*|[.[][^.[]*", key)


def _unusable(path: Path, problem: str, remedy: str) -> ConfigInvalid:
    return ConfigInvalid((Fault(str(path), None, "", problem, remedy),))
