"""Models of a few hundred kilobytes with random weights, one for each kind of memory that llama.cpp has.

What they say is noise, but noise that depends on every token that they have read: a prefix that is lost, doubled or
taken from somebody else changes the text. They load in milliseconds, and a step takes one.
"""

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Value: TypeAlias = bool | int | float | str | Sequence[int] | Sequence[str]
Tensor: TypeAlias = NDArray[np.float32]

WINDOW: Final = 32
"""How many tokens a layer with a sliding window sees."""

_CONTEXT: Final = 2048
_WIDTH: Final = 64
_HEADS: Final = 4
_HEAD: Final = _WIDTH // _HEADS
_HIDDEN: Final = 128

_MERGES: Final = ("t h", "th e", "a n", "i n", "e r", "o n", "Ġ t", "Ġ a")
BEGIN: Final = "<|begin|>"
END: Final = "<|end|>"
TURN: Final = ("<|im_start|>", "<|im_end|>")
"""Of the template that stands in where a file has none. The file does not say that the second ends an answer: llama.cpp
knows it by its spelling."""
_CONTROLS: Final = (BEGIN, END, *TURN)

_MAGIC: Final = b"GGUF"
_VERSION: Final = 3
_ALIGNMENT: Final = 32
_UINT32, _INT32, _FLOAT32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9
_TENSOR_FLOAT32: Final = 0
_NORMAL, _CONTROL = 1, 3


class Kind(StrEnum):
    """What the model remembers of what it has read."""

    FULL = "llama"
    """Keys and values of every token."""
    WINDOW = "gemma3"
    """Five layers in six forget what lies further back than `WINDOW` tokens."""
    STATE = "mamba"
    """One state, which cannot be taken back."""
    HYBRID = "lfm2"
    """Both: a layer with a state, and one with keys and values."""


def write(kind: Kind, path: Path, seed: int = 7, extra: Mapping[str, Value] | None = None) -> Path:
    """Make a model file; the same seed gives the same bytes.

    Args:
        kind: what it remembers.
        path: where to.
        seed: of the weights.
        extra: more of the file's values, by their full names.

    """
    make = Weights(np.random.default_rng(seed))
    blocks, fields, layer = {
        Kind.FULL: (2, _attention_fields(), make.llama),
        Kind.WINDOW: (6, _attention_fields() | {"attention.sliding_window": WINDOW}, make.gemma),
        Kind.STATE: (2, _state_fields(), make.mamba),
        Kind.HYBRID: (2, _attention_fields() | {"attention.head_count_kv": [0, 2], "shortconv.l_cache": 3}, make.lfm),
    }[kind]
    values: dict[str, Value] = {"general.architecture": kind.value, "general.name": f"tiny {kind.value}"}
    values |= {f"{kind.value}.{key}": value for key, value in (_shape_fields(blocks) | fields).items()}
    tensors = dict(make.ends(len(pieces()), "token_embd_norm" if kind is Kind.HYBRID else "output_norm"))
    for block in range(blocks):
        tensors |= {f"blk.{block}.{name}": tensor for name, tensor in layer(block)}
    path.write_bytes(gguf(values | _vocabulary() | dict(extra or {}), tensors))
    return path


# ---- what the models are made of


@dataclass(frozen=True, slots=True)
class Weights:
    """Random tensors in numpy's order of dimensions: (out, in)."""

    dice: np.random.Generator

    def matrix(self, rows: int, columns: int, gain: float = 1.2) -> Tensor:
        """So large that what comes out is larger by `gain` than what goes in."""
        numbers = self.dice.standard_normal((rows, columns)) * gain / math.sqrt(columns)
        return numbers.astype(np.float32)

    def ends(self, vocabulary: int, norm: str) -> Iterator[tuple[str, Tensor]]:
        """What stands before and after the blocks."""
        yield "token_embd.weight", self.dice.standard_normal((vocabulary, _WIDTH)).astype(np.float32)
        yield f"{norm}.weight", _ones(_WIDTH)
        yield "output.weight", self.matrix(vocabulary, _WIDTH)

    def llama(self, _block: int) -> Iterator[tuple[str, Tensor]]:
        """Attention to everything."""
        yield "attn_norm.weight", _ones(_WIDTH)
        yield from self._attention()
        yield from self._feed_forward()

    def gemma(self, _block: int) -> Iterator[tuple[str, Tensor]]:
        """The same with more norms, here such that attention is choosy; llama.cpp knows which blocks have a window."""
        yield from self.llama(_block)
        yield "attn_q_norm.weight", 1.6 * _ones(_HEAD)
        yield "attn_k_norm.weight", 1.6 * _ones(_HEAD)
        yield "post_attention_norm.weight", 2 * _ones(_WIDTH)
        yield "post_ffw_norm.weight", _ones(_WIDTH)

    def lfm(self, block: int) -> Iterator[tuple[str, Tensor]]:
        """A short convolution, then attention."""
        yield "attn_norm.weight", _ones(_WIDTH)
        if block:
            yield from self._attention()
            yield "attn_q_norm.weight", _ones(_HEAD)
            yield "attn_k_norm.weight", _ones(_HEAD)
        else:
            yield "shortconv.conv.weight", self.matrix(_WIDTH, 3)
            yield "shortconv.in_proj.weight", self.matrix(3 * _WIDTH, _WIDTH)
            yield "shortconv.out_proj.weight", self.matrix(_WIDTH, _WIDTH)
        yield from self._feed_forward()

    def mamba(self, _block: int) -> Iterator[tuple[str, Tensor]]:
        """A state that forgets slowly."""
        inner, state, rank = 2 * _WIDTH, 16, 4
        yield "attn_norm.weight", _ones(_WIDTH)
        yield "ssm_in.weight", self.matrix(2 * inner, _WIDTH)
        yield "ssm_conv1d.weight", self.matrix(inner, 4)
        yield "ssm_conv1d.bias", np.zeros(inner, np.float32)
        yield "ssm_x.weight", self.matrix(rank + 2 * state, inner)
        yield "ssm_dt.weight", self.matrix(inner, rank)
        yield "ssm_dt.bias", np.full(inner, -3.0, np.float32)
        yield "ssm_a", -np.tile(np.linspace(0.1, 1.0, state, dtype=np.float32), (inner, 1))
        yield "ssm_d", _ones(inner)
        yield "ssm_out.weight", self.matrix(_WIDTH, inner)

    def _attention(self) -> Iterator[tuple[str, Tensor]]:
        yield "attn_q.weight", self.matrix(_WIDTH, _WIDTH)
        yield "attn_k.weight", self.matrix(_WIDTH // 2, _WIDTH)
        yield "attn_v.weight", self.matrix(_WIDTH // 2, _WIDTH)
        yield "attn_output.weight", self.matrix(_WIDTH, _WIDTH, gain=2.4)

    def _feed_forward(self) -> Iterator[tuple[str, Tensor]]:
        yield "ffn_norm.weight", _ones(_WIDTH)
        yield "ffn_gate.weight", self.matrix(_HIDDEN, _WIDTH)
        yield "ffn_up.weight", self.matrix(_HIDDEN, _WIDTH)
        yield "ffn_down.weight", self.matrix(_WIDTH, _HIDDEN)


def _ones(size: int) -> Tensor:
    return np.ones(size, np.float32)


def _shape_fields(blocks: int) -> dict[str, Value]:
    return {
        "context_length": _CONTEXT,
        "embedding_length": _WIDTH,
        "block_count": blocks,
        "feed_forward_length": _HIDDEN,
        "attention.layer_norm_rms_epsilon": 1e-6,
    }


def _attention_fields() -> dict[str, Value]:
    return {
        "attention.head_count": _HEADS,
        "attention.head_count_kv": _HEADS // 2,
        "attention.key_length": _HEAD,
        "attention.value_length": _HEAD,
    }


def _state_fields() -> dict[str, Value]:
    return {
        "ssm.conv_kernel": 4,
        "ssm.inner_size": 2 * _WIDTH,
        "ssm.state_size": 16,
        "ssm.time_step_rank": 4,
    }


# ---- what they read


def _vocabulary() -> dict[str, Value]:
    """All bytes, a few words, and control tokens."""
    spellings = pieces()
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": spellings,
        "tokenizer.ggml.token_type": [_CONTROL if piece in _CONTROLS else _NORMAL for piece in spellings],
        "tokenizer.ggml.merges": _MERGES,
        "tokenizer.ggml.bos_token_id": spellings.index(BEGIN),
        "tokenizer.ggml.eos_token_id": spellings.index(END),
        "tokenizer.ggml.add_bos_token": True,
    }


def pieces() -> list[str]:
    """The spelling of each token; the last ones are control tokens."""
    return [*_byte_spellings(), *(merge.replace(" ", "") for merge in _MERGES), *_CONTROLS]


def _byte_spellings() -> list[str]:
    """GPT-2's way to write each byte as a visible character."""
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return [*map(chr, visible), *(chr(256 + number) for number in range(len(hidden)))]


# ---- how it is written down


def gguf(values: Mapping[str, Value], tensors: Mapping[str, Tensor]) -> bytes:
    """A file in GGUF's third version: head, values, table of tensors, then their numbers, each aligned."""
    head = _MAGIC + struct.pack("<IQQ", _VERSION, len(tensors), len(values))
    head += b"".join(_text(key) + _typed(value) for key, value in values.items())
    data = b""
    for name, tensor in tensors.items():
        head += _text(name) + struct.pack(f"<I{tensor.ndim}Q", tensor.ndim, *reversed(tensor.shape))
        head += struct.pack("<IQ", _TENSOR_FLOAT32, len(data))
        data += _padded(tensor.astype("<f4").tobytes())
    return _padded(head) + data


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _ALIGNMENT)


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _typed(value: Value) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + _text(value)
    if isinstance(value, bool):
        return struct.pack("<I?", _BOOL, value)
    if isinstance(value, int):
        return struct.pack("<II", _UINT32, value)
    if isinstance(value, float):
        return struct.pack("<If", _FLOAT32, value)
    return struct.pack("<I", _ARRAY) + _array(value)


def _array(items: Sequence[int] | Sequence[str]) -> bytes:
    numbers = [item for item in items if isinstance(item, int)]
    if numbers:
        return struct.pack(f"<IQ{len(numbers)}i", _INT32, len(numbers), *numbers)
    return struct.pack("<IQ", _STRING, len(items)) + b"".join(_text(item) for item in items if isinstance(item, str))
