"""What the process that fetches from the hub is told, and what it tells."""

from typing import Literal

import msgspec


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One file to fetch.

    Attributes:
        repo: ``owner/name``.
        file: its path there.
        revision: a branch, a tag or a commit.
        target: the path that it is to lie at.
        sha256: what the catalogue promises; None if it does not.
        size_bytes: likewise.

    """

    repo: str
    file: str
    revision: str
    target: str
    sha256: str | None = None
    size_bytes: int | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A line on the standard output of that process; the last one says how it ended."""

    kind: Literal["progress", "done", "failed", "corrupt"]
    text: str
