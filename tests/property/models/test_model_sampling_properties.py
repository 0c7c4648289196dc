from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.engine.drawing import draw, likeliest
from models.engine.healing import Healing, roll_back
from models.engine.params import SamplingParams
from models.engine.pieces import PieceIndex

TEXTS = st.text("aé漢🇫{ ", max_size=20).map(str.encode)
PLACES = st.lists(st.integers(0, 99), max_size=8)
PIECES = st.lists(st.binary(max_size=4), min_size=1, max_size=40)
LOGITS = st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=600).map(lambda row: np.array(row, np.float32))
CHANCES = st.floats(0, 1, exclude_max=True)
PARAMS = st.builds(
    SamplingParams,
    max_tokens=st.just(1),
    seed=st.just(0),
    temperature=st.floats(0, 2),
    top_p=st.floats(0, 1),
    top_k=st.integers(0, 700),
    min_p=st.floats(0, 1),
)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@given(TEXTS, TEXTS, PLACES)
def test_any_split_emits_what_goes_beyond_the_owed(owed: bytes, more: bytes, places: list[int]) -> None:
    healing = Healing(owed)
    assert b"".join(map(healing.feed, cut(owed + more, places))) == more


@given(TEXTS, PLACES, st.integers(0, 9))
def test_rolling_back_loses_no_byte_and_splits_no_character(text: bytes, places: list[int], template: int) -> None:
    pieces = cut(text, places)
    tokens = list(range(len(pieces)))
    delivered = max(0, len(pieces) - template)
    kept, owed = roll_back(tokens, pieces.__getitem__, delivered)
    read = b"".join(pieces[token] for token in kept)
    assert read + owed == text
    assert len(kept) >= len(tokens) - delivered
    assert read.decode(errors="ignore").encode() == read or len(kept) == len(tokens) - delivered


@given(PIECES, st.binary(min_size=1, max_size=6))
def test_index_finds_what_a_look_at_every_piece_finds(pieces: list[bytes], owed: bytes) -> None:
    found = PieceIndex(pieces, end_tokens={0}).leading_to(owed).tolist()
    fitting = [t for t, p in enumerate(pieces) if t and p and (p.startswith(owed) or owed.startswith(p))]
    assert sorted(found) == fitting


@given(PIECES, st.lists(st.integers(0, 39), max_size=8))
def test_spelling_takes_the_longest_piece_that_fits_each_time(pieces: list[bytes], places: list[int]) -> None:
    text = b"".join(pieces[place % len(pieces)] for place in places)
    tokens = PieceIndex([*pieces, *(bytes([byte]) for byte in range(256))], end_tokens=()).spell(text)
    assert tokens is not None
    at = 0
    for token in tokens:
        taken = pieces[token] if token < len(pieces) else text[at : at + 1]
        assert len(taken) == max([1, *(len(piece) for piece in pieces if text.startswith(piece, at))])
        assert text.startswith(taken, at)
        at += len(taken)
    assert at == len(text)


@given(LOGITS, PARAMS, CHANCES)
def test_what_is_drawn_passes_every_cut(logits: np.ndarray, params: SamplingParams, chance: float) -> None:
    chosen = logits[draw(logits, params, chance)]
    weights = np.exp(logits.astype(float) - logits.max())
    rank = int((logits > chosen).sum())
    assert rank == 0 or params.top_k == 0 or rank < params.top_k
    assert np.exp(float(chosen) - logits.max()) >= params.min_p * 0.999
    assert rank == 0 or params.top_k or weights[logits > chosen].sum() <= params.top_p * weights.sum() * 1.001


@given(LOGITS, CHANCES)
def test_free_draw_is_where_the_running_sum_passes_the_chance(logits: np.ndarray, chance: float) -> None:
    index = draw(logits, SamplingParams(max_tokens=1, seed=0), chance)
    weights = np.exp(logits.astype(float) - logits.max())
    shares = np.cumsum(weights) / weights.sum()
    assert shares[index] >= chance - 1e-5
    assert shares[index] - weights[index] / weights.sum() <= chance + 1e-5


@given(LOGITS, st.integers(1, 700))
def test_likeliest_are_the_largest_in_order(logits: np.ndarray, count: int) -> None:
    assert logits[likeliest(logits, count)].tolist() == sorted(logits.tolist(), reverse=True)[:count]
