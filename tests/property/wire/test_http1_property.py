"""However the bytes of an answer are cut, the same answer comes out."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.http1 import Body, ChunkedBody, Malformed, SizedBody, encode_chunk, parse_response_head

EXTENSIONS = st.sampled_from([b"", b";a", b'; a="b; c"', b" \t"])
TRAILERS = st.sampled_from([b"", b"A: b\r\n", b"A: b\r\nC:\r\n"])
CUTS = st.lists(st.integers(0, 4000), max_size=12)
TOKENS = st.text("abcXYZ019-_.!#$%&'*+^`|~", min_size=1, max_size=12).map(str.encode)
VALUES = st.binary(max_size=30).map(lambda value: value.translate(None, b"\r\n\0").strip(b" \t"))


def reads(data: bytes, cuts: list[int]) -> list[bytes]:
    """The data cut there, without empty pieces: no read is."""
    positions = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(positions) if end > start]


def fed(body: Body, pieces: list[bytes]) -> bytes:
    payload = bytearray()
    for piece in pieces:
        assert not body.is_done
        payload += body.feed(piece)
    return bytes(payload)


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=300), EXTENSIONS), max_size=12), EXTENSIONS, TRAILERS, CUTS)
def test_chunks_are_put_together_again(
    chunks: list[tuple[bytes, bytes]], last: bytes, trailers: bytes, cuts: list[int]
) -> None:
    lines = [b"%X%b\r\n%b\r\n" % (len(data), extension, data) for data, extension in chunks]
    data = b"".join(lines) + b"0" + last + b"\r\n" + trailers + b"\r\n"
    body = ChunkedBody()
    assert fed(body, reads(data, cuts)) == b"".join(data for data, _ in chunks)
    assert (body.is_done, body.excess) == (True, 0)


@given(st.binary(min_size=1, max_size=300), CUTS)
def test_sized_body_is_put_together_again(data: bytes, cuts: list[int]) -> None:
    body = SizedBody(len(data), is_done=not len(data))
    assert (fed(body, reads(data, cuts)), body.is_done) == (data, True)


@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=8), st.data())
def test_chunked_body_is_not_done_before_its_last_byte(chunks: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(encode_chunk(chunk) for chunk in chunks) + b"0\r\n\r\n"
    body = ChunkedBody()
    body.feed(whole[: data.draw(st.integers(1, len(whole) - 1))])
    assert not body.is_done


@given(st.binary(max_size=60), CUTS)
def test_nonsense_is_refused_or_waited_for_alike_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    def verdict(pieces: list[bytes]) -> tuple[bool, bytes]:
        body, payload = ChunkedBody(), b""
        try:
            for piece in pieces:
                if not body.is_done:
                    payload += body.feed(piece)
        except Malformed:
            return False, b""
        return True, payload

    # What is certain to be wrong may be noticed one read later, so another byte follows.
    assert verdict([*reads(data, cuts), b"\x01"])[0] == verdict([data + b"\x01"])[0] or not data


@given(st.lists(st.tuples(TOKENS, VALUES), max_size=12), st.integers(100, 999))
def test_head_gives_back_what_was_written(pairs: list[tuple[bytes, bytes]], status: int) -> None:
    data = b"HTTP/1.1 %d\r\n" % status + b"".join(name + b": " + value + b"\r\n" for name, value in pairs) + b"\r\n"
    head = parse_response_head(data, data.find(b"\r\n\r\n"))
    assert (head.status, head.pairs) == (status, pairs)
