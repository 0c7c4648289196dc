import pytest

from models.engine.compiler import compiler_fault

DEBIAN_12 = b"\0GCC: (Debian 12.2.0-14+deb12u1) 12.2.0\0"
DEBIAN_13 = b"\0GCC: (Debian 14.2.0-19) 14.2.0\0"


@pytest.mark.parametrize(
    "library",
    [
        DEBIAN_13,
        DEBIAN_12 + b"\0-march=native\0-fno-tree-dse\0-fno-dse\0",
        b"\0Debian clang version 14.0.6\0",
        b"\0GCC: (GNU) 15.1.0\0" + DEBIAN_13,
    ],
    ids=["a sound GCC", "an unsound one that was held back", "clang", "two sound ones"],
)
def test_tiles_of_a_sound_compiler_are_trusted(library: bytes) -> None:
    assert compiler_fault(library) is None


@pytest.mark.parametrize(
    ("library", "word"),
    [
        (DEBIAN_12, "compiled by GCC 12"),
        (DEBIAN_13 + DEBIAN_12, "compiled by GCC 12"),
        (b"\0GCC: (Ubuntu 13.2.0-23ubuntu4) 13.2.0\0", "compiled by GCC 13"),
        (b"\x7fELF", "nobody knows"),
    ],
    ids=["an unsound GCC", "part of it by one", "a GCC of which that is not known", "nobody"],
)
def test_other_tiles_are_not(library: bytes, word: str) -> None:
    assert word in (compiler_fault(library) or "")


def test_fault_names_the_remedy() -> None:
    assert "-fno-tree-dse -fno-dse -frecord-gcc-switches" in (compiler_fault(DEBIAN_12) or "")
