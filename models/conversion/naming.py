"""What a converted copy is called: after its source, so that it can be taken for no other's."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from models.catalog.locate import ModelFile

_KEY_DIGITS: Final = 12


def copy_path(model: ModelFile) -> Path:
    """Where the converted copy of a model's file is, or would be: beside it.

    A file whose SHA-256 the catalogue tells is known by that, any other by its size and the time of its last change: to
    hash it would take longer than to load it.

    Raises:
        OSError: a file of the second kind cannot be looked at.

    """
    return model.path.with_name(f"{model.path.stem}.Q8_0-of-{_key(model)}.gguf")


def outdated(path: Path, names: Iterable[str]) -> list[str]:
    """Those of `names` that are converted copies of what the source of `path` was before it was replaced."""
    stem, _, _ = path.stem.rpartition("-of-")
    pattern = re.compile(rf"{re.escape(stem)}-of-[0-9a-f]{{{_KEY_DIGITS}}}\.gguf")
    return [name for name in names if name != path.name and pattern.fullmatch(name)]


def _key(model: ModelFile) -> str:
    if model.entry and model.entry.sha256:
        return model.entry.sha256[:_KEY_DIGITS]
    facts = model.path.stat()
    return hashlib.sha256(f"{facts.st_size} {facts.st_mtime_ns}".encode()).hexdigest()[:_KEY_DIGITS]
