"""From what the user typed to a file on this machine."""

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from models.catalog.catalog import CATALOG
from models.catalog.entry import CatalogEntry
from models.errors import ModelAbsent, ModelUnknown


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model that was named: where its file is, or will be once it is pulled.

    Attributes:
        name: what clients call it: the catalogue name, or the stem of a file given by path.
        path: the GGUF file.
        entry: its catalogue entry; None for a file given by path.

    """

    name: str
    path: Path
    entry: CatalogEntry | None

    @property
    def is_present(self) -> bool:
        """Whether the file is here; for a catalogue model also whether it has the right size."""
        if not self.path.is_file():
            return False
        return self.entry is None or self.path.stat().st_size == self.entry.size_bytes


def models_folder(environ: Mapping[str, str]) -> Path:
    """The folder that pulled models live in: $HOTSPARE_MODELS, else below the user's cache folder."""
    if chosen := environ.get("HOTSPARE_MODELS"):
        return Path(chosen)
    if cache := environ.get("XDG_CACHE_HOME"):
        return Path(cache) / "hotspare" / "models"
    return Path(environ.get("HOME") or Path.home()) / ".cache" / "hotspare" / "models"


def resolve(name_or_path: str, folder: Path) -> ModelFile:
    """Find out which model is meant, without asking whether its file is here.

    Raises:
        ModelUnknown: neither a path nor a name of the catalogue.

    """
    if os.sep in name_or_path or name_or_path.endswith(".gguf"):
        path = Path(name_or_path).expanduser()
        return ModelFile(path.stem, path, None)
    entry = known(name_or_path)
    return ModelFile(entry.name, folder / entry.file, entry)


def locate(name_or_path: str, folder: Path) -> ModelFile:
    """Like `resolve`, and the file is here.

    Raises:
        ModelUnknown: neither a path nor a name of the catalogue.
        ModelAbsent: the file is missing, or a catalogue model's file has the wrong size.

    """
    model = resolve(name_or_path, folder)
    if model.is_present:
        return model
    if model.entry is None:
        raise ModelAbsent(f"there is no file {model.path}: check the path, or name a model of `hotspare model list`")
    raise ModelAbsent(f"{model.name} is not here: fetch it by `hotspare model pull {model.name}`")


def known(name: str) -> CatalogEntry:
    """The catalogue entry of this name.

    Raises:
        ModelUnknown: with the nearest name and all names.

    """
    if entry := CATALOG.get(name):
        return entry
    nearest = difflib.get_close_matches(name, CATALOG, n=1)
    hint = f"did you mean {nearest[0]}? " if nearest else ""
    raise ModelUnknown(f"no model is called {name!r}: {hint}known are {', '.join(CATALOG)}; or give a path to a .gguf")
