"""Which compilers can be trusted with Intel's tile unit (AMX). Pure.

GCC 12 and older drop most of the stores that fill the tile configuration, because the intrinsic that loads it declares
8 of its 64 bytes as read; the first product is then an illegal instruction. Which GCC 13 does so depends on its last
digit. A library tells who compiled it, and with which switches if it was asked to.
"""

import re
from typing import Final

_SOUND_GCC: Final = 14
_KEEPS_STORES: Final = b"-fno-tree-dse"
_REMEDY: Final = "build llama-cpp-python with CFLAGS and CXXFLAGS='-fno-tree-dse -fno-dse -frecord-gcc-switches'"


def compiler_fault(library: bytes) -> str | None:
    """Why the tiles of a compiled library cannot be trusted, for people; None if they can.

    Args:
        library: the whole file, as it was linked.

    """
    versions = [int(major) for major in re.findall(rb"GCC: \([^)\0]*\) (\d+)\.", library)]
    if _KEEPS_STORES in library or min(versions, default=0) >= _SOUND_GCC:
        return None
    if not versions:
        return None if b"clang version" in library else "nobody knows who compiled this llama.cpp"
    return f"this llama.cpp was compiled by GCC {min(versions)}, which breaks the tiles' set-up: {_REMEDY}"
