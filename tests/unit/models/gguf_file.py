"""Files in GGUF's third version with any values and tensors; all their numbers are zero."""

import struct
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from models.catalog.gguf import FORMATS

Value: TypeAlias = int | str | Sequence[int] | Sequence[str]
Shape: TypeAlias = tuple[int, ...]

TYPES: Final = {form.name: number for number, form in FORMATS.items()}

_ALIGNMENT: Final = 32
_UINT32, _STRING, _ARRAY = 4, 8, 9


def gguf_file(values: Mapping[str, Value], tensors: Sequence[tuple[str, Shape]]) -> bytes:
    """A whole file.

    Args:
        values: what it says of itself.
        tensors: the format and shape of each, the first dimension a multiple of the format's block.

    """
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(values))
    head += b"".join(text(key) + _typed(value) for key, value in values.items())
    offset = 0
    for number, (form, shape) in enumerate(tensors):
        head += tensor(f"t{number}", TYPES[form], shape, offset)
        offset += -(-size_of(form, shape) // _ALIGNMENT) * _ALIGNMENT
    last = size_of(*tensors[-1]) if tensors else 0
    data = offset - -(-last // _ALIGNMENT) * _ALIGNMENT + last  # it ends with the last number
    return head + bytes(-len(head) % _ALIGNMENT + data)


def size_of(form: str, shape: Shape) -> int:
    elements = 1
    for count in shape:
        elements *= count
    block = FORMATS[TYPES[form]]
    return elements // block.elements * block.size_bytes


def tensor(name: str, kind: int, shape: Shape, offset: int) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def text(line: str) -> bytes:
    data = line.encode()
    return struct.pack("<Q", len(data)) + data


def _typed(value: Value) -> bytes:
    if isinstance(value, int):
        return struct.pack("<II", _UINT32, value)
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + text(value)
    numbers = [item for item in value if isinstance(item, int)]
    texts = [item for item in value if isinstance(item, str)]
    if numbers:
        return struct.pack(f"<IIQ{len(numbers)}I", _ARRAY, _UINT32, len(numbers), *numbers)
    return struct.pack("<IIQ", _ARRAY, _STRING, len(texts)) + b"".join(map(text, texts))
