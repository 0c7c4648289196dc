"""A GGUF file in memory: weights and vocabulary. Read-only once it is set up, so any thread may use it."""

import ctypes
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from models.engine.llama.native import Handle, api, start
from models.engine.llama.tiles import is_built_for_tiles
from models.engine.pieces import PieceIndex
from models.errors import LoadFailed

ALL_LAYERS: Final = 9999

_GGUF_MAGIC: Final = b"GGUF"
_PIECE_BYTES: Final = 1024
_CONTROL_SPELLING: Final = re.compile(r"<\|[^|<>\s]+\|>")


@dataclass(frozen=True, slots=True)
class GpuChoice:
    """How many layers go to the GPU, and why."""

    layers: int
    reason: str


def choose_gpu_layers(wanted: int | None) -> GpuChoice:
    """Decide on offloading.

    Args:
        wanted: number of layers; None puts all on the GPU if this build of llama.cpp can use one.

    """
    if not api.llama_supports_gpu_offload():
        return GpuChoice(0, "this build of llama-cpp-python finds no GPU")
    if wanted is None:
        return GpuChoice(ALL_LAYERS, "a GPU was found: all layers")
    return GpuChoice(wanted, "as asked for")


class Model:
    """A loaded GGUF file: weights, vocabulary, chat template.

    Args:
        path: the file.
        gpu_layers: how many layers to put on the GPU.
        uses_tiles: let the CPU's tile unit compute, where `tiles_fault` knows of none. A build that would, and must
            not, loses the repacking of some formats as well; AVX-512 does the work.

    Raises:
        LoadFailed: no GGUF file, damaged, not a text model, or too large for this machine.

    """

    def __init__(self, path: Path, gpu_layers: int, *, uses_tiles: bool = False) -> None:
        _check_magic(path)
        start()
        params = api.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        params.use_extra_bufts = uses_tiles or not is_built_for_tiles()
        self.handle: Handle = api.llama_model_load_from_file(str(path).encode(), params)
        if not self.handle:
            raise LoadFailed(f"llama.cpp cannot load {path}: it may be damaged, too new, or larger than free memory")
        self._vocab: Handle = api.llama_model_get_vocab(self.handle)
        self.vocabulary_size: int = api.llama_vocab_n_tokens(self._vocab)
        self.training_context_tokens: int = api.llama_model_n_ctx_train(self.handle)
        self.gpu_layers: int = min(gpu_layers, api.llama_model_n_layer(self.handle) + 1)
        buffer = ctypes.create_string_buffer(_PIECE_BYTES)
        self._pieces = [self._read_piece(token, buffer) for token in range(self.vocabulary_size)]
        self.longest_piece_bytes = max(map(len, self._pieces))
        self.end_tokens = frozenset(t for t in range(self.vocabulary_size) if api.llama_vocab_is_eog(self._vocab, t))
        self.suppressed_tokens = self._read_suppressed_tokens()
        self.control_texts = tuple(filter(None, map(self._read_control_text, range(self.vocabulary_size))))

    @cached_property
    def piece_index(self) -> PieceIndex:
        """The vocabulary sorted by spelling: made when first asked for, in 30 ms for 49,152 tokens, by any thread."""
        return PieceIndex(self._pieces, self.end_tokens)

    @property
    def weights_bytes(self) -> int:
        """Of all tensors."""
        return int(api.llama_model_size(self.handle))

    @property
    def kv_bytes_per_token(self) -> int:
        """Keys and values of one token over all layers, in 16 bits each; an estimate where layers differ."""
        heads: int = api.llama_model_n_head_kv(self.handle) or api.llama_model_n_head(self.handle)
        layers: int = api.llama_model_n_layer(self.handle)
        usual: int = api.llama_model_n_embd(self.handle) // max(api.llama_model_n_head(self.handle), 1)
        width = self._number("attention.key_length", usual) + self._number("attention.value_length", usual)
        return max(1, layers * heads * width * 2)

    @property
    def makes_embeddings(self) -> bool:
        """Whether it is made for that, and not for chats: its file says how the tokens of a text become one vector."""
        pooled = {api.LLAMA_POOLING_TYPE_MEAN, api.LLAMA_POOLING_TYPE_CLS, api.LLAMA_POOLING_TYPE_LAST}
        return self._number("pooling_type", api.LLAMA_POOLING_TYPE_NONE) in pooled

    @property
    def makes_text(self) -> bool:
        """Whether it can go on behind a text: each token sees those before it only, and there is no other purpose."""
        pooling = self._number("pooling_type", api.LLAMA_POOLING_TYPE_NONE)
        return pooling == api.LLAMA_POOLING_TYPE_NONE and self._value("attention.causal") != b"false"

    @property
    def embedding_width(self) -> int:
        """How many numbers an embedding has."""
        return int(api.llama_model_n_embd_out(self.handle))

    def _number(self, key: str, default: int) -> int:
        """A number of the file's own, below its architecture's name."""
        value = self._value(key)
        return int(value) if value.isdigit() else default

    def _value(self, key: str) -> bytes:
        """The same as text; empty if there is none."""
        buffer = ctypes.create_string_buffer(_PIECE_BYTES)
        api.llama_model_meta_val_str(self.handle, b"general.architecture", buffer, _PIECE_BYTES)
        full = buffer.value + b"." + key.encode()
        size = api.llama_model_meta_val_str(self.handle, full, buffer, _PIECE_BYTES)
        return buffer.value if size > 0 else b""

    @property
    def chat_template(self) -> str | None:
        """The Jinja source that the file carries."""
        source: bytes | None = api.llama_model_chat_template(self.handle, None)
        return None if source is None else source.decode(errors="replace")

    @property
    def bos(self) -> int | None:
        """The token that begins a text."""
        return self._optional(api.llama_vocab_bos(self._vocab))

    @property
    def eos(self) -> int | None:
        """The token that ends a text."""
        return self._optional(api.llama_vocab_eos(self._vocab))

    def text(self, token: int | None) -> str:
        """The token's own spelling, control tokens included; empty for None."""
        if token is None:
            return ""
        spelling: bytes = api.llama_vocab_get_text(self._vocab, token)
        return spelling.decode(errors="replace")

    def control_token(self, text: str) -> int | None:
        """The control token that is spelled so; None if there is none."""
        if text not in self.control_texts:
            return None
        return self.tokenize(text, add_special=False, parse_special=True)[0]

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Turn text into token ids.

        Args:
            text: any.
            add_special: let the tokenizer add what the model wants before and after a text (usually BOS).
            parse_special: turn the spelling of a control token into that token. Never for text of a client.

        """
        data = text.encode(errors="replace")
        room = len(data) + 2  # a token is at least one byte; BOS and EOS may be added
        tokens = (api.llama_token * room)()
        count = api.llama_tokenize(self._vocab, data, len(data), tokens, room, add_special, parse_special)
        if count < 0:
            raise ValueError(f"the tokenizer wants {-count} tokens for {len(data)} bytes")
        return list(tokens[:count])

    def piece(self, token: int) -> bytes:
        """The bytes that a generated token adds to the text; empty for control tokens."""
        return self._pieces[token]

    def spelling(self, token: int) -> bytes:
        """The bytes of any token; of control tokens their own spelling."""
        return self._pieces[token] or self.text(token).encode()

    def show(self, text: str) -> None:
        """Have the control tokens in this text spelled like any other where they are drawn. Before anything is."""
        for token in self.tokenize(text, add_special=False, parse_special=True):
            self._pieces[token] = self.spelling(token)

    def close(self) -> None:
        """Free the weights. Nothing may use the model any more."""
        api.llama_model_free(self.handle)

    def _read_suppressed_tokens(self) -> frozenset[int]:
        """What the model must never say, although it may want to."""
        count = ctypes.c_int32()
        found = api.llama_vocab_get_suppress_tokens(self._vocab, ctypes.byref(count))
        return frozenset(found[: count.value]) if count.value else frozenset()

    def _read_piece(self, token: int, buffer: ctypes.Array[ctypes.c_char]) -> bytes:
        size = api.llama_token_to_piece(self._vocab, token, buffer, _PIECE_BYTES, 0, False)
        return buffer.raw[:size] if size > 0 else b""

    def _read_control_text(self, token: int) -> str | None:
        """llama.cpp calls some of gpt-oss's control tokens a user's own words: by their spelling they are not."""
        attributes = api.llama_vocab_get_attr(self._vocab, token)
        if attributes & (api.LLAMA_TOKEN_ATTR_CONTROL | api.LLAMA_TOKEN_ATTR_UNKNOWN):
            return self.text(token)
        is_own_word = attributes & api.LLAMA_TOKEN_ATTR_USER_DEFINED
        return text if is_own_word and _CONTROL_SPELLING.fullmatch(text := self.text(token)) else None

    def _optional(self, token: int) -> int | None:
        return token if token >= 0 else None


def _check_magic(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(len(_GGUF_MAGIC))
    except OSError as error:
        raise LoadFailed(f"cannot read {path}: {error.strerror}") from error
    if magic != _GGUF_MAGIC:
        raise LoadFailed(f"{path} is not a GGUF file: download it again, or give another path")
