import io
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.catalog.gguf import FORMATS, read_header
from models.conversion.choice import SLOW_FORMATS, Verdict, decide
from models.errors import HeaderInvalid
from tests.unit.models.gguf_file import TYPES, Shape, Value, gguf_file, size_of

pytestmark = pytest.mark.slow

SIZES = st.integers(1, 4)
VALUES = st.dictionaries(
    st.text(max_size=12).filter(lambda key: key != "general.alignment"),
    st.one_of(
        st.integers(0, 2**32 - 1),
        st.text(max_size=20),
        st.lists(st.integers(0, 9), max_size=4),
        st.lists(st.text(max_size=5), max_size=9),
    ),
    max_size=6,
)


@st.composite
def shaped(draw: st.DrawFn) -> tuple[str, Shape]:
    form = draw(st.sampled_from(sorted(TYPES)))
    rest = draw(st.lists(SIZES, max_size=3))
    return form, (FORMATS[TYPES[form]].elements * draw(SIZES), *rest)


TENSORS = st.lists(shaped(), min_size=1, max_size=5)


@given(VALUES, TENSORS)
def test_tensors_are_read_as_written(values: Mapping[str, Value], tensors: list[tuple[str, Shape]]) -> None:
    data = gguf_file(values, tensors)
    header = read_header(io.BytesIO(data))
    assert [(found.format, found.dimensions, found.size_bytes) for found in header.tensors] == [
        (form, len(shape), size_of(form, shape)) for form, shape in tensors
    ]
    assert data[header.head_bytes :].count(0) == len(data) - header.head_bytes


@given(VALUES, TENSORS, st.data())
def test_file_that_is_cut_anywhere_is_refused(
    values: Mapping[str, Value], tensors: list[tuple[str, Shape]], data: st.DataObject
) -> None:
    whole = gguf_file(values, tensors)
    end = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(HeaderInvalid):
        read_header(io.BytesIO(whole[:end]))


@given(VALUES, TENSORS, st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_bytes_give_a_header_or_the_one_error(
    values: Mapping[str, Value], tensors: list[tuple[str, Shape]], damages: list[tuple[int, int]]
) -> None:
    damaged = bytearray(gguf_file(values, tensors))
    for place, byte in damages:
        damaged[4 + place % (len(damaged) - 4)] = byte
    assert tells_or_refuses(bytes(damaged))


@given(st.binary(max_size=200))
def test_any_bytes_give_a_header_or_the_one_error(data: bytes) -> None:
    assert tells_or_refuses(b"GGUF\x03\x00\x00\x00" + data)


def tells_or_refuses(data: bytes) -> bool:
    try:
        header = read_header(io.BytesIO(data))
    except HeaderInvalid as error:
        return bool(str(error))
    return sum(tensor.size_bytes for tensor in header.tensors) >= 0


@given(TENSORS, st.integers(0, 10**6), st.integers(0, 10**6))
def test_only_what_is_slow_and_fits_is_converted(
    tensors: list[tuple[str, Shape]], memory_bytes: int, disk_bytes: int
) -> None:
    header = read_header(io.BytesIO(gguf_file({}, tensors)))
    choice = decide(header, "/m", memory_bytes=memory_bytes, disk_bytes=disk_bytes)
    slow = sum(size_of(*tensor) for tensor in tensors if tensor[0] in SLOW_FORMATS)
    is_slow = 2 * slow > sum(size_of(*tensor) for tensor in tensors)
    assert (choice.verdict is Verdict.KEEP) is not is_slow
    if choice.verdict is Verdict.CONVERT:
        assert 2 * choice.converted_bytes <= memory_bytes
        assert choice.converted_bytes <= disk_bytes
