"""What is known about one model."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WheelSource:
    """A file that lies inside a wheel of the Python package index.

    Attributes:
        requirement: the exact package, as pip takes it, e.g. ``name==1.2``.
        member: the file's path inside the wheel.

    """

    requirement: str
    member: str


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One model that can be named instead of given as a path.

    Attributes:
        name: what clients and the command line call it.
        file: its file name in the models folder.
        sha256: hex digest of that file.
        size_bytes: its exact size.
        context_tokens: the context that it was trained for.
        licence: SPDX identifier.
        source: where it is fetched from.
        temperature: its makers' recommendation, used when a request names none.
        top_p: likewise.

    """

    name: str
    file: str
    sha256: str
    size_bytes: int
    context_tokens: int
    licence: str
    source: WheelSource
    temperature: float
    top_p: float
