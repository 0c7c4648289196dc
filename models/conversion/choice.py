"""Whether a file is worth converting. Pure.

llama.cpp computes with Q8_0, Q4_0 and the K formats in large tiles that are unpacked once for many rows. Q4_1 and Q5_1
have no such kernels, and Q5_0 has poor ones: prompts are read at half of the speed and less, and a step of many
sequences takes up to twice as long. Q8_0 can express what each of them says to within a 256th of a block's
largest number, so that nothing visible is lost; it takes 8.5 bits for each number where they take 5 to 6.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from models.catalog.gguf import Header

SLOW_FORMATS: Final = frozenset({"Q4_1", "Q5_0", "Q5_1"})
_SLOW_ON_TILES: Final = SLOW_FORMATS - {"Q4_1"}
"""Intel's tile unit computes with Q4_1 as fast as with Q8_0, which is larger."""

_MEMORY_SHARE: Final = 2
"""The weights take half of what is free at most: the cache, the application and the page cache want the rest."""

# Q8_0: a block of 32 numbers in 34 bytes.
_BLOCK_ELEMENTS: Final = 32
_BLOCK_BYTES: Final = 34


class Verdict(StrEnum):
    """What becomes of a file."""

    CONVERT = "to be converted to Q8_0"
    KEEP = "as they are"
    """It is fast enough."""
    SUFFER = "as they are, and slow"
    """It would be worth it, but there is no room."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The verdict, with a reason for people. `converted_bytes`: how large the converted file is, about."""

    verdict: Verdict
    reason: str
    converted_bytes: int = 0

    def __str__(self) -> str:
        return f"weights: {self.verdict} ({self.reason})"


def is_slow(header: Header, *, uses_tiles: bool = False) -> bool:
    """Whether most of a file is in formats that are slow on the CPU. `uses_tiles`: the tile unit computes."""
    slow_formats = _SLOW_ON_TILES if uses_tiles else SLOW_FORMATS
    sizes = header.format_bytes
    return 2 * sum(size for form, size in sizes.items() if form in slow_formats) > sum(sizes.values())


def decide(header: Header, folder: str, *, memory_bytes: int, disk_bytes: int) -> Choice:
    """Decide on a file that is to be computed with on the CPU, without its tile unit or where that does not help.

    Args:
        header: of the file.
        folder: where the converted one would lie, for the message.
        memory_bytes: what is free now.
        disk_bytes: what is free in `folder`.

    """
    sizes = header.format_bytes
    total = sum(sizes.values())
    what = f"mostly {max(sizes, key=lambda form: sizes[form])}" if sizes else "no weights"
    if not is_slow(header):
        return Choice(Verdict.KEEP, what)
    needed = converted_bytes(header)
    what = f"{what}, slow on a CPU"
    if not fits(needed, memory_bytes):
        reason = f"converted they would take {_mb(needed)}, over half of the free memory of {_mb(memory_bytes)}"
        return Choice(Verdict.SUFFER, f"{what}; {reason}; a file in Q4_0 or Q4_K would be fast")
    if needed > disk_bytes:
        reason = f"{folder} has {disk_bytes} bytes free where {needed} are needed for a converted copy"
        return Choice(Verdict.SUFFER, f"{what}; {reason}")
    return Choice(Verdict.CONVERT, f"{what}; {_mb(total)} become {_mb(needed)}", needed)


def fits(weights_bytes: int, memory_bytes: int) -> bool:
    """Whether a converted file of this size may be loaded."""
    return weights_bytes * _MEMORY_SHARE <= memory_bytes


def converted_bytes(header: Header) -> int:
    """How large the file is in Q8_0, about. Vectors stay as they are."""
    matrices = sum(tensor.elements for tensor in header.tensors if tensor.dimensions > 1)
    vectors = sum(tensor.size_bytes for tensor in header.tensors if tensor.dimensions == 1)
    return header.head_bytes + vectors + -(-matrices // _BLOCK_ELEMENTS) * _BLOCK_BYTES


def _mb(size: int) -> str:
    return f"{size / 1e6:.0f} MB"
