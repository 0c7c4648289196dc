from itertools import pairwise

from hypothesis import assume, given
from hypothesis import strategies as st

from models.engine.event import TokenScore
from models.engine.tally import Tally
from models.engine.text import Assembler, StopFilter

LETTERS = st.text("abé🇫", max_size=40)
STOPS = st.lists(st.text("abé🇫", min_size=1, max_size=4), max_size=3).map(tuple)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def naive(text: str, stops: tuple[str, ...]) -> str:
    """Grow the text by one character at a time; stop before the longest stop string that it ends with."""
    for end in range(len(text) + 1):
        hits = [stop for stop in stops if text[:end].endswith(stop)]
        if hits:
            return text[: end - max(map(len, hits))]
    return text


@given(st.binary(max_size=60), st.lists(st.integers(0, 99), max_size=8))
def test_any_split_of_bytes_gives_the_same_text(data: bytes, places: list[int]) -> None:
    whole, split = Assembler(()), Assembler(())
    assert "".join(split.feed(piece) for piece in cut(data, places)) == whole.feed(data)


@given(LETTERS, STOPS, st.lists(st.integers(0, 99), max_size=8))
def test_stop_filter_equals_the_naive_answer_for_any_split(
    text: str, stops: tuple[str, ...], places: list[int]
) -> None:
    assembler = Assembler(stops)
    out = "".join(assembler.feed(piece) for piece in cut(text.encode(), places))
    if not assembler.is_stopped:
        out += assembler.flush()
    assert out == naive(text, stops)


@given(LETTERS, LETTERS, STOPS)
def test_stop_string_that_begins_in_what_is_out_already_is_found(sent: str, text: str, stops: tuple[str, ...]) -> None:
    assume(naive(sent, stops) == sent)
    stop_filter = StopFilter(stops, sent)
    out = "".join(stop_filter.feed(letter) for letter in text)
    if not stop_filter.is_stopped:
        out += stop_filter.flush()
    assert out == naive(sent + text, stops)[len(sent) :]


@given(LETTERS, STOPS)
def test_what_was_let_out_never_contains_a_stop_string(text: str, stops: tuple[str, ...]) -> None:
    stop_filter = StopFilter(stops)
    out = "".join(stop_filter.feed(letter) for letter in text)
    assert not any(stop in out for stop in stops)


@given(LETTERS, STOPS, st.lists(st.integers(0, 99), max_size=8))
def test_tokens_are_told_in_step_with_the_text_and_spell_it(
    text: str, stops: tuple[str, ...], places: list[int]
) -> None:
    assembler, tally, out, told = Assembler(stops), Tally(), "", b""
    pieces = [piece for piece in cut(text.encode(), places) if piece]
    for piece in pieces:
        new = assembler.feed(piece)
        score = None if assembler.is_stopped else TokenScore(piece, 0.0)
        told += b"".join(token.piece for token in tally.release(new, score, assembler.held))
        out += new
        assert out.encode().startswith(told)
    if not assembler.is_stopped:
        out, told = out + (held := assembler.flush()), told + b"".join(t.piece for t in tally.release(held))
        assert told == text.encode()
    longest = max(map(len, pieces), default=0)
    assert len(out.encode()) - len(told) <= longest
