"""From what the user typed to a file on this machine."""

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from models.catalog.catalog import CATALOG, by_name
from models.catalog.entry import CatalogEntry, HubSource, PathSource
from models.catalog.own import FILE, read_own
from models.catalog.receipt import read_receipt
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
        """Whether the file is here; also whether it has the right size, if that is known.

        A file that nobody has fetched, put into its place by hand, is taken for what its name says.
        """
        if not self.path.is_file():
            return False
        promised = self._promised_bytes()
        return promised is None or self.path.stat().st_size == promised

    @property
    def can_be_pulled(self) -> bool:
        """Whether there is a place to fetch it from."""
        return self.entry is not None and not isinstance(self.entry.source, PathSource)

    def _promised_bytes(self) -> int | None:
        if self.entry is None or self.entry.size_bytes is not None:
            return self.entry.size_bytes if self.entry else None
        receipt = read_receipt(self.path)
        if receipt is None or not isinstance(self.entry.source, HubSource):
            return None
        # Another source's file under this name is not the one that is meant.
        return receipt.size_bytes if receipt.is_of(self.entry.source) else -1


def models_folder(environ: Mapping[str, str]) -> Path:
    """The folder that pulled models live in: $HOTSPARE_MODELS, else below the user's cache folder."""
    if chosen := environ.get("HOTSPARE_MODELS"):
        return Path(chosen)
    if cache := environ.get("XDG_CACHE_HOME"):
        return Path(cache) / "hotspare" / "models"
    return Path(environ.get("HOME") or Path.home()) / ".cache" / "hotspare" / "models"


def catalogue(folder: Path) -> Mapping[str, CatalogEntry]:
    """All models that can be named: ours, and those of the catalogue in the models folder, which win.

    Raises:
        CatalogInvalid: that one is wrong.

    """
    return by_name([*CATALOG.values(), *read_own(folder)])


def resolve(name_or_path: str, folder: Path) -> ModelFile:
    """Find out which model is meant, without asking whether its file is here.

    Raises:
        CatalogInvalid: the catalogue in the models folder is wrong.
        ModelUnknown: neither a path nor a name of the catalogue.

    """
    if os.sep in name_or_path or name_or_path.endswith(".gguf"):
        path = Path(name_or_path).expanduser()
        return ModelFile(path.stem, path, None)
    return file_of(known(name_or_path, folder), folder)


def file_of(entry: CatalogEntry, folder: Path) -> ModelFile:
    """Where a catalogue model's file is, or will be."""
    path = entry.source.path if isinstance(entry.source, PathSource) else folder / entry.file
    return ModelFile(entry.name, path, entry)


def locate(name_or_path: str, folder: Path) -> ModelFile:
    """Like `resolve`, and the file is here.

    Raises:
        CatalogInvalid: the catalogue in the models folder is wrong.
        ModelUnknown: neither a path nor a name of the catalogue.
        ModelAbsent: the file is missing, or a catalogue model's file has the wrong size.

    """
    model = resolve(name_or_path, folder)
    if model.is_present:
        return model
    if model.can_be_pulled:
        raise ModelAbsent(f"{model.name} is not here: fetch it by `hotspare model pull {model.name}`")
    if model.entry is None:
        raise ModelAbsent(f"there is no file {model.path}: check the path, or name a model of `hotspare model list`")
    raise ModelAbsent(f"{model.name} is not at {model.path}, or has another size: check {folder / FILE}")


def known(name: str, folder: Path) -> CatalogEntry:
    """The catalogue entry of this name.

    Raises:
        CatalogInvalid: the catalogue in the models folder is wrong.
        ModelUnknown: with the nearest name and all names.

    """
    names = catalogue(folder)
    if entry := names.get(name):
        return entry
    nearest = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {nearest[0]}? " if nearest else ""
    raise ModelUnknown(f"no model is called {name!r}: {hint}known are {', '.join(names)}; or give a path to a .gguf")
