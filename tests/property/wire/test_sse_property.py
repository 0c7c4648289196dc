"""However the bytes are split, the same events come out."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from proxy.wire import sse

LINES = st.sampled_from(
    ["data: x", "data:y", "data: 例え 🦙", 'data: {"a":"\\n"}', "data:", ": ping", "event: e", "id: 1", "datax", ""]
)
NEWLINES = st.sampled_from(["\n", "\r\n", "\r"])
STREAMS = st.builds(
    lambda lines, newline, tail: (newline.join([*lines, ""]) + tail).encode(),
    st.lists(LINES, max_size=12),
    NEWLINES,
    st.sampled_from(["", "data: half"]),
)
CUTS = st.lists(st.integers(0, 200), max_size=12)


def parts(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    return [stream[start:end] for start, end in pairwise(edges)]


def read(chunks: list[bytes]) -> tuple[list[bytes], bytes]:
    reader = sse.EventReader()
    return [reader.feed(chunk) for chunk in chunks], reader.rest


@given(STREAMS, CUTS)
def test_any_split_gives_the_same_bytes(stream: bytes, cuts: list[int]) -> None:
    blocks, rest = read(parts(stream, cuts))
    whole, whole_rest = read([stream])
    assert b"".join(blocks) == b"".join(whole)
    assert rest == whole_rest


@given(STREAMS, CUTS)
def test_any_split_gives_the_same_payloads(stream: bytes, cuts: list[int]) -> None:
    blocks, _ = read(parts(stream, cuts))
    payloads = [data for block in blocks for data in sse.payloads(block)]
    assert payloads == list(sse.payloads(b"".join(read([stream])[0])))


@given(STREAMS)
def test_byte_by_byte_gives_the_same_payloads(stream: bytes) -> None:
    blocks, _ = read([stream[index : index + 1] for index in range(len(stream))])
    payloads = [data for block in blocks for data in sse.payloads(block)]
    assert payloads == list(sse.payloads(b"".join(read([stream])[0])))


@given(st.lists(st.binary(max_size=20), max_size=20))
def test_no_byte_is_lost_added_or_moved(chunks: list[bytes]) -> None:
    blocks, rest = read(chunks)
    assert b"".join(blocks) + rest == b"".join(chunks)


@given(STREAMS, CUTS)
def test_what_comes_out_ends_with_a_blank_line(stream: bytes, cuts: list[int]) -> None:
    blocks, _ = read(parts(stream, cuts))
    assert all(sse.end_of_last_event(block) == len(block) for block in blocks)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n")))
def test_one_line_reads_back(text: str) -> None:
    assert list(sse.payloads(sse.event(text.encode()))) == [text.encode()]
