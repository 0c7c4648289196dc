"""What a GGUF file says of itself, read without llama.cpp, which may abort on what it does not expect.

The file is anybody's, and what it says is believed only as far as it can be true: counts have limits, what is skipped
has to lie inside the file, and nothing is kept but names and whole numbers. The format is that of ggml's docs/gguf.md,
in its versions 2 and 3, little-endian:

    "GGUF", version, count of tensors, count of values;
    values: name, type, value;          tensors: name, dimensions, type, offset;          padding, then the numbers.
"""

import io
import math
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Final

from models.errors import HeaderInvalid, HeaderUnknown

_MAGIC: Final = b"GGUF"
_VERSIONS: Final = (2, 3)

_MOST_TENSORS: Final = 1 << 16
"""The largest mixtures of experts have some thousands."""
_MOST_VALUES: Final = 1 << 16
_MOST_STRINGS: Final = 1 << 22
"""In all arrays: each is a step of a loop. A vocabulary of 256k has half a million merges."""
_MOST_NAME_BYTES: Final = 1 << 16
"""The format's own limit for the names of values; those of tensors are shorter."""
_MOST_DIMENSIONS: Final = 4
_MOST_ELEMENTS: Final = 1 << 48

_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")
_COUNTS: Final = struct.Struct("<QQ")
_ARRAY_HEAD: Final = struct.Struct("<IQ")

_UINT32_TYPE, _STRING_TYPE, _ARRAY_TYPE = 4, 8, 9
_SIZES: Final[Mapping[int, int]] = MappingProxyType(
    {0: 1, 1: 1, 2: 2, 3: 2, _UINT32_TYPE: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
)
"""Bytes of a value by its type, for those that always have the same."""

_WHOLE_NUMBERS: Final[Mapping[int, str]] = MappingProxyType(
    {0: "B", 1: "b", 2: "H", 3: "h", _UINT32_TYPE: "I", 5: "i", 7: "?", 10: "Q", 11: "q"}
)
"""How struct calls those of them that are whole numbers."""

_LONGEST_KEPT_ARRAY: Final = 1 << 10
"""Of whole numbers: one for each layer. Longer ones are about the vocabulary."""

_ARCHITECTURE_KEY: Final = b"general.architecture"
_LONGEST_ARCHITECTURE: Final = 64

_ALIGNMENT_KEY: Final = b"general.alignment"
_DEFAULT_ALIGNMENT: Final = 32
_MOST_ALIGNMENT: Final = 1 << 20

_BLOCK_BYTES: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class Format:
    """How the numbers of a tensor are written: in blocks of `elements`, each of `size_bytes`."""

    name: str
    elements: int
    size_bytes: int


FORMATS: Final[Mapping[int, Format]] = MappingProxyType(
    {
        0: Format("F32", 1, 4),
        1: Format("F16", 1, 2),
        2: Format("Q4_0", 32, 18),
        3: Format("Q4_1", 32, 20),
        6: Format("Q5_0", 32, 22),
        7: Format("Q5_1", 32, 24),
        8: Format("Q8_0", 32, 34),
        9: Format("Q8_1", 32, 36),
        10: Format("Q2_K", 256, 84),
        11: Format("Q3_K", 256, 110),
        12: Format("Q4_K", 256, 144),
        13: Format("Q5_K", 256, 176),
        14: Format("Q6_K", 256, 210),
        15: Format("Q8_K", 256, 292),
        16: Format("IQ2_XXS", 256, 66),
        17: Format("IQ2_XS", 256, 74),
        18: Format("IQ3_XXS", 256, 98),
        19: Format("IQ1_S", 256, 50),
        20: Format("IQ4_NL", 32, 18),
        21: Format("IQ3_S", 256, 110),
        22: Format("IQ2_S", 256, 82),
        23: Format("IQ4_XS", 256, 136),
        24: Format("I8", 1, 1),
        25: Format("I16", 1, 2),
        26: Format("I32", 1, 4),
        27: Format("I64", 1, 8),
        28: Format("F64", 1, 8),
        29: Format("IQ1_M", 256, 56),
        30: Format("BF16", 1, 2),
        34: Format("TQ1_0", 256, 54),
        35: Format("TQ2_0", 256, 66),
        39: Format("MXFP4", 32, 17),
        40: Format("NVFP4", 64, 36),
        41: Format("Q1_0", 128, 18),
        42: Format("Q2_0", 64, 18),
    }
)
"""ggml's types by number, with ggml_blck_size and ggml_type_size; the gaps are types that it has given up."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: its format's name, how many numbers it has, and what they take in the file."""

    format: str
    dimensions: int
    elements: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Header:
    """A file's head.

    Attributes:
        tensors: all of them.
        head_bytes: how much of the file lies before their numbers.
        architecture: what llama.cpp calls this kind of model; empty if the file does not say.
        numbers: its values that are whole numbers, by name.
        arrays: those that are short lists of such, by name.
        counts: how long each list is, of any kind, by name.

    """

    tensors: tuple[Tensor, ...]
    head_bytes: int
    architecture: str = ""
    numbers: Mapping[str, int] = field(default_factory=dict)
    arrays: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def weights_bytes(self) -> int:
        """What the numbers of all tensors take."""
        return sum(tensor.size_bytes for tensor in self.tensors)

    @property
    def format_bytes(self) -> Counter[str]:
        """What the numbers of each format take."""
        sizes: Counter[str] = Counter()
        for tensor in self.tensors:
            sizes[tensor.format] += tensor.size_bytes
        return sizes


def read_header(file: BinaryIO) -> Header:
    """Read a file from its beginning up to its numbers, all of which have to lie in it.

    Raises:
        HeaderInvalid: not GGUF, damaged, cut off, or absurd.
        HeaderUnknown: of a version or with a type that is not known here; a later llama.cpp may know it.
        OSError: it cannot be read.

    """
    return _Reading(file).header()


def header_of(path: Path) -> Header:
    """The same of the file at `path`."""
    with path.open("rb") as file:
        return read_header(file)


class _Reading:
    """The reading of one file, a block at a time: texts by the hundred thousand are passed over in memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, io.SEEK_END)
        self._block = b""
        self._block_at = 0
        """Where the block begins in the file."""
        self._at = 0
        """Where we are in the block, or behind it if something was skipped."""
        self._strings = 0
        self._architecture = ""
        self._numbers_found: dict[str, int] = {}
        self._arrays: dict[str, tuple[int, ...]] = {}
        self._counts: dict[str, int] = {}
        self._alignment = _DEFAULT_ALIGNMENT

    def header(self) -> Header:
        self._check_kind()
        tensors, values = self._numbers(_COUNTS)
        if tensors > _MOST_TENSORS or values > _MOST_VALUES:
            raise HeaderInvalid(f"has {tensors} tensors and {values} values, which no model has")
        for _ in range(values):
            self._read_value()
        ends, found = self._read_tensors(tensors)
        position = self._block_at + self._at
        head_bytes = position + -position % self._alignment
        if head_bytes + max(ends, default=0) > self._size:
            raise HeaderInvalid("is cut off: its numbers go on behind its end")
        return Header(found, head_bytes, self._architecture, self._numbers_found, self._arrays, self._counts)

    def _check_kind(self) -> None:
        if self._take(len(_MAGIC)) != _MAGIC:
            raise HeaderInvalid("is not a GGUF file")
        (version,) = self._numbers(_U32)
        if version not in _VERSIONS:
            raise HeaderUnknown(f"is GGUF of version {version}, which is not known here")

    def _read_value(self) -> None:
        name = self._name()
        (kind,) = self._numbers(_U32)
        if kind == _ARRAY_TYPE:
            self._read_array(name.decode(errors="replace"))
        elif kind == _STRING_TYPE:
            self._read_text(name)
        elif kind in _WHOLE_NUMBERS:
            (number,) = self._numbers(struct.Struct("<" + _WHOLE_NUMBERS[kind]))
            self._note(name, kind, int(number))
        else:
            self._at += _size_of(kind)

    def _note(self, name: bytes, kind: int, number: int) -> None:
        self._numbers_found[name.decode(errors="replace")] = number
        if name == _ALIGNMENT_KEY and kind == _UINT32_TYPE:
            if not 0 < number <= _MOST_ALIGNMENT:
                raise HeaderInvalid(f"is aligned to {number} bytes")
            self._alignment = number

    def _read_text(self, name: bytes) -> None:
        if name != _ARCHITECTURE_KEY:
            self._skip_texts(1)
            return
        (size,) = self._numbers(_U64)
        if size > _LONGEST_ARCHITECTURE:
            raise HeaderInvalid(f"has an architecture whose name has {size} bytes")
        self._architecture = self._take(size).decode(errors="replace")

    def _read_array(self, name: str) -> None:
        kind, count = self._numbers(_ARRAY_HEAD)
        self._counts[name] = count
        if kind in _WHOLE_NUMBERS and count <= _LONGEST_KEPT_ARRAY:
            self._arrays[name] = tuple(map(int, self._numbers(struct.Struct(f"<{count}{_WHOLE_NUMBERS[kind]}"))))
        elif kind != _STRING_TYPE:
            self._at += _size_of(kind) * count
        else:
            self._skip_many_texts(count)

    def _skip_many_texts(self, count: int) -> None:
        self._strings += count
        if self._strings > _MOST_STRINGS:
            raise HeaderInvalid(f"has an array of {count} texts, which no model has")
        self._skip_texts(count)

    def _skip_texts(self, count: int) -> None:
        unpack, head = _U64.unpack_from, _U64.size
        for _ in range(count):
            if self._at + head > len(self._block):
                self._turn(head)
            self._at += head + unpack(self._block, self._at)[0]

    def _read_tensors(self, count: int) -> tuple[list[int], tuple[Tensor, ...]]:
        """Where each ends, counted from the first number of the file; and the tensors."""
        ends, tensors = [], []
        for _ in range(count):
            self._name()
            tensor = self._tensor()
            (offset,) = self._numbers(_U64)
            tensors.append(tensor)
            ends.append(offset + tensor.size_bytes)
        return ends, tuple(tensors)

    def _tensor(self) -> Tensor:
        (dimensions,) = self._numbers(_U32)
        if not 0 < dimensions <= _MOST_DIMENSIONS:
            raise HeaderInvalid(f"has a tensor of {dimensions} dimensions")
        shape = self._numbers(struct.Struct(f"<{dimensions}Q"))
        elements = math.prod(shape)
        (kind,) = self._numbers(_U32)
        form = FORMATS.get(kind)
        if form is None:
            raise HeaderUnknown(f"has a tensor of type {kind}, which is not known here")
        if not 0 < elements <= _MOST_ELEMENTS or shape[0] % form.elements:
            raise HeaderInvalid(f"has a tensor of {' x '.join(map(str, shape))} numbers in {form.name}")
        return Tensor(form.name, dimensions, elements, elements // form.elements * form.size_bytes)

    def _name(self) -> bytes:
        (size,) = self._numbers(_U64)
        if size > _MOST_NAME_BYTES:
            raise HeaderInvalid(f"has a name of {size} bytes")
        return self._take(size)

    def _numbers(self, form: struct.Struct) -> tuple[int, ...]:
        return form.unpack(self._take(form.size))

    def _take(self, size: int) -> bytes:
        if self._at + size > len(self._block):
            self._turn(size)
        start = self._at
        self._at += size
        return self._block[start : self._at]

    def _turn(self, size: int) -> None:
        """Have a block that begins where we are and holds `size` bytes at least."""
        self._block_at += self._at
        self._at = 0
        if self._block_at + size > self._size:
            raise HeaderInvalid("is cut off before its numbers begin")
        self._file.seek(self._block_at)
        self._block = self._file.read(max(size, _BLOCK_BYTES))
        if len(self._block) < size:
            raise HeaderInvalid("became shorter while it was read")


def _size_of(kind: int) -> int:
    size = _SIZES.get(kind)
    if size is None:
        raise HeaderUnknown(f"has a value of type {kind}, which is not known here")
    return size
