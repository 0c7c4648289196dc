"""Models of a few hundred kilobytes with random weights that make embeddings: see `tiny`, of which these are kin."""

from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import Final

import numpy as np

from tests.integration.models.tiny import Tensor, Value, Weights, gguf

WIDTH: Final = 64
CONTEXT: Final = 128
"""Positions that it has learnt: BERT cannot read further."""

_BLOCKS: Final = 2
_HEADS: Final = 4
_HIDDEN: Final = 128

PAD, UNKNOWN, BEGIN, END, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
_CONTROLS: Final = (PAD, UNKNOWN, BEGIN, END, MASK)
_WORDS: Final = ("the", "a", "cat", "dog", "sat", "ran", "on", "under", "mat", "house", "red", "one", "two", "three")
_NORMAL, _UNKNOWN, _CONTROL = 1, 2, 3


class Pooling(IntEnum):
    """How the vectors of a text's tokens become one."""

    NONE = 0
    MEAN = 1
    FIRST = 2
    LAST = 3
    RANK = 4


def write_bert(path: Path, pooling: Pooling = Pooling.MEAN, seed: int = 7) -> Path:
    """Make a file of an encoder that reads both ways; the same seed gives the same bytes."""
    make = Weights(np.random.default_rng(seed))
    pieces = _pieces()
    values: dict[str, Value] = {
        "general.architecture": "bert",
        "general.name": "tiny bert",
        "bert.context_length": CONTEXT,
        "bert.embedding_length": WIDTH,
        "bert.block_count": _BLOCKS,
        "bert.feed_forward_length": _HIDDEN,
        "bert.attention.head_count": _HEADS,
        "bert.attention.layer_norm_epsilon": 1e-6,
        "bert.attention.causal": False,
        "bert.pooling_type": int(pooling),
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.token_type_count": 2,
        "tokenizer.ggml.tokens": pieces,
        "tokenizer.ggml.token_type": [_type(piece) for piece in pieces],
        "tokenizer.ggml.bos_token_id": pieces.index(BEGIN),
        "tokenizer.ggml.seperator_token_id": pieces.index(END),
        "tokenizer.ggml.unknown_token_id": pieces.index(UNKNOWN),
        "tokenizer.ggml.padding_token_id": pieces.index(PAD),
        "tokenizer.ggml.mask_token_id": pieces.index(MASK),
    }
    tensors = dict(_ends(make, len(pieces)))
    for block in range(_BLOCKS):
        tensors |= {f"blk.{block}.{name}": tensor for name, tensor in _layer(make)}
    path.write_bytes(gguf(values, tensors))
    return path


def _ends(make: Weights, vocabulary: int) -> Iterator[tuple[str, Tensor]]:
    yield "token_embd.weight", make.dice.standard_normal((vocabulary, WIDTH)).astype(np.float32)
    yield "token_types.weight", make.matrix(2, WIDTH)
    yield "position_embd.weight", make.dice.standard_normal((CONTEXT, WIDTH)).astype(np.float32)
    yield from _norm("token_embd_norm")


def _layer(make: Weights) -> Iterator[tuple[str, Tensor]]:
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        yield from _linear(make, name, WIDTH, WIDTH)
    yield from _norm("attn_output_norm")
    yield from _linear(make, "ffn_up", _HIDDEN, WIDTH)
    yield from _linear(make, "ffn_down", WIDTH, _HIDDEN)
    yield from _norm("layer_output_norm")


def _linear(make: Weights, name: str, rows: int, columns: int) -> Iterator[tuple[str, Tensor]]:
    yield f"{name}.weight", make.matrix(rows, columns)
    yield f"{name}.bias", np.zeros(rows, np.float32)


def _norm(name: str) -> Iterator[tuple[str, Tensor]]:
    yield f"{name}.weight", np.ones(WIDTH, np.float32)
    yield f"{name}.bias", np.zeros(WIDTH, np.float32)


def _pieces() -> list[str]:
    """Words, and letters as beginnings and as goings-on of others; a beginning is marked."""
    letters = [chr(code) for code in range(ord("!"), ord("~") + 1)]
    return [*_CONTROLS, *(f"▁{word}" for word in _WORDS), *(f"▁{one}" for one in letters if one != "a"), *letters]


def _type(piece: str) -> int:
    if piece == UNKNOWN:
        return _UNKNOWN
    return _CONTROL if piece in _CONTROLS else _NORMAL
