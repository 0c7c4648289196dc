"""What its source said of a file when it was fetched, kept beside it, so that it can be checked without a network.

The receipt is written before the file is put into its place. So a file that is there has the receipt of what it was
fetched as, or of what was about to replace it; in the second case its size or its hash is wrong, and it is fetched
again.
"""

from pathlib import Path
from typing import Final

import msgspec

from models.catalog.entry import HubSource

_SUFFIX: Final = ".receipt.json"


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the hub.

    Attributes:
        repo: ``owner/name``.
        file: its path there.
        revision: what was asked for.
        commit: what that was then.
        size_bytes: what was fetched.
        sha256: likewise, computed here.
        is_vouched_for: whether somebody has told that hash: the catalogue or the hub. Else nobody has.

    """

    repo: str
    file: str
    revision: str
    commit: str
    size_bytes: int
    sha256: str
    is_vouched_for: bool

    def is_of(self, source: HubSource) -> bool:
        """Whether it is about a file of this source."""
        return (self.repo, self.file, self.revision) == (source.repo, source.file, source.revision)


def receipt_path(file: Path) -> Path:
    """Where the receipt of a model file lies."""
    return file.with_name(file.name + _SUFFIX)


def read_receipt(file: Path) -> Receipt | None:
    """The receipt of a model file, if there is one that can be read."""
    try:
        return msgspec.json.decode(receipt_path(file).read_bytes(), type=Receipt)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
