"""The only import of llama_cpp: what we use of its C API, typed and with its traps closed.

Two objects: a `Model` is read-only after loading and may be used from any thread; a `Context` belongs to one thread.
Free samplers, then the context, then the model. All calls release the GIL.

Several faults inside llama.cpp abort the process instead of returning (a batch larger than n_batch, sampling a row
without logits); what guards against them is marked "aborts".
"""

import ctypes
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import llama_cpp.llama_cpp as api
import numpy as np

from models.engine.params import SamplingParams
from models.engine.step import Chunk
from models.errors import DecodeFailed, LoadFailed

_log = logging.getLogger(__name__)

# An opaque C pointer, structure or type of ctypes.
Handle: TypeAlias = Any

ALL_LAYERS: Final = 9999

_GGUF_MAGIC: Final = b"GGUF"
_PIECE_BYTES: Final = 1024
_PYTHON_LEVELS: Final = {4: logging.ERROR}  # its warnings are notes on the file that nobody here can act upon


def _forward(level: int, text: bytes, _data: object) -> None:
    if line := text.decode(errors="replace").strip():
        _log.log(_PYTHON_LEVELS.get(level, logging.DEBUG), "llama.cpp: %s", line)


# llama.cpp keeps the bare pointer: the callback must live as long as the process.
_LOG_CALLBACK: Final = api.llama_log_callback(_forward)


@dataclass(frozen=True, slots=True)
class ContextSettings:
    """The size of a context.

    Attributes:
        context_tokens: positions in all.
        batch_tokens: the largest step.
        slots: how many sequences may be in it at once.
        threads: for steps of one token and of many alike: a step that mixes sequences counts as many.

    """

    context_tokens: int
    batch_tokens: int
    slots: int
    threads: int


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

    Raises:
        LoadFailed: no GGUF file, damaged, not a text model, or too large for this machine.

    """

    def __init__(self, path: Path, gpu_layers: int) -> None:
        _check_magic(path)
        api.llama_log_set(_LOG_CALLBACK, ctypes.c_void_p(0))
        api.llama_backend_init()
        params = api.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        params.use_extra_bufts = not _is_built_for_amx()
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
        self.control_texts = tuple(filter(None, map(self._read_control_text, range(self.vocabulary_size))))

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

    def close(self) -> None:
        """Free the weights. Nothing may use the model any more."""
        api.llama_model_free(self.handle)

    def _read_piece(self, token: int, buffer: ctypes.Array[ctypes.c_char]) -> bytes:
        size = api.llama_token_to_piece(self._vocab, token, buffer, _PIECE_BYTES, 0, False)
        return buffer.raw[:size] if size > 0 else b""

    def _read_control_text(self, token: int) -> str | None:
        special = api.LLAMA_TOKEN_ATTR_CONTROL | api.LLAMA_TOKEN_ATTR_UNKNOWN
        return self.text(token) if api.llama_vocab_get_attr(self._vocab, token) & special else None

    def _optional(self, token: int) -> int | None:
        return token if token >= 0 else None


class Sampler:
    """A chain of llama.cpp samplers, built for one sequence.

    The order: first what changes logits by name (penalties, bias), so that the cuts see what the client wanted; then
    the cuts from cheap to dear (top_k leaves few candidates, so that top_p need not sort the vocabulary), all on
    probabilities at temperature 1, so that temperature does not move the thresholds; then temperature; then the draw.
    Penalties count generated tokens only, as OpenAI's do, however far back.
    """

    def __init__(self, params: SamplingParams, vocabulary_size: int) -> None:
        settings = api.llama_sampler_chain_default_params()
        settings.no_perf = True
        self.handle: Handle = api.llama_sampler_chain_init(settings)
        if params.has_penalties:
            self._add(
                api.llama_sampler_init_penalties(
                    vocabulary_size,
                    params.max_tokens,
                    params.repeat_penalty,
                    params.frequency_penalty,
                    params.presence_penalty,
                ),
            )
        if params.logit_bias:
            self._add(_bias_sampler(params, vocabulary_size))
        self._add_draw(params)

    def _add_draw(self, params: SamplingParams) -> None:
        if params.temperature == 0.0:
            self._add(api.llama_sampler_init_greedy())
            return
        if params.top_k > 0:
            self._add(api.llama_sampler_init_top_k(params.top_k))
        if params.top_p < 1.0:
            self._add(api.llama_sampler_init_top_p(params.top_p, 1))
        if params.min_p > 0.0:
            self._add(api.llama_sampler_init_min_p(params.min_p, 1))
        self._add(api.llama_sampler_init_temp(params.temperature))
        self._add(api.llama_sampler_init_dist(params.seed))

    def _add(self, link: Handle) -> None:
        api.llama_sampler_chain_add(self.handle, link)

    def close(self) -> None:
        """Free the chain and its links."""
        api.llama_sampler_free(self.handle)


def _bias_sampler(params: SamplingParams, vocabulary_size: int) -> Handle:
    biases = (api.llama_logit_bias * len(params.logit_bias))()
    for row, (token, bias) in zip(biases, params.logit_bias.items(), strict=True):
        row.token, row.bias = token, bias
    return api.llama_sampler_init_logit_bias(vocabulary_size, len(biases), biases)


class _Batch:
    """A llama_batch whose columns are our own arrays: rows are written by slices, not one C store at a time."""

    def __init__(self, capacity: int, slots: int) -> None:
        self.capacity = capacity
        self._tokens = np.zeros(capacity, np.int32)
        self._positions = np.zeros(capacity, np.int32)
        self._slot_counts = np.ones(capacity, np.int32)
        self._wanted = np.zeros(capacity, np.int8)
        self._slot_ids = np.arange(slots, dtype=np.int32)
        # seq_id is an array of pointers, here into _slot_ids.
        self._slot_pointers = np.zeros(capacity, np.uint64)
        self.rows = self._as_struct()

    def fill(self, chunks: list[Chunk]) -> list[int]:
        """Write the chunks one after the other; returns the row of each wanted output."""
        end = 0
        wanted = []
        for chunk in chunks:
            start, end = end, end + len(chunk.tokens)
            self._write(chunk, start, end)
            if chunk.wants_token:
                wanted.append(end - 1)
        self.rows.n_tokens = end
        return wanted

    def _write(self, chunk: Chunk, start: int, end: int) -> None:
        if end > self.capacity:
            raise ValueError(f"a step of {end} tokens where {self.capacity} fit")  # aborts
        self._tokens[start:end] = chunk.tokens
        self._positions[start:end] = np.arange(chunk.position, chunk.position + end - start)
        self._slot_pointers[start:end] = self._slot_ids.ctypes.data + self._slot_ids.itemsize * chunk.slot
        self._wanted[start:end] = 0
        self._wanted[end - 1] = chunk.wants_token

    def _as_struct(self) -> Handle:
        batch = api.llama_batch()
        batch.embd = None
        batch.token = _pointer(self._tokens, api.llama_token)
        batch.pos = _pointer(self._positions, api.llama_pos)
        batch.n_seq_id = _pointer(self._slot_counts, ctypes.c_int32)
        batch.seq_id = _pointer(self._slot_pointers, ctypes.POINTER(api.llama_seq_id))
        batch.logits = _pointer(self._wanted, ctypes.c_int8)
        return batch


def _pointer(column: np.ndarray[Any, Any], kind: Handle) -> Handle:
    return ctypes.cast(column.ctypes.data, ctypes.POINTER(kind))


class Context:
    """A model's working memory; satisfies `models.engine.loop.Backend`.

    Args:
        model: must outlive the context.
        settings: how large.

    Raises:
        LoadFailed: not enough memory for the cache.

    """

    def __init__(self, model: Model, settings: ContextSettings) -> None:
        self._model = model
        self._settings = settings
        self._handle: Handle = _new_context(model, settings)
        self._batch = _Batch(min(settings.batch_tokens, api.llama_n_batch(self._handle)), settings.slots)

    def decode(self, chunks: list[Chunk]) -> list[int]:
        """Read the chunks in one step.

        Returns:
            The output row of each chunk that wants a token, valid until the next decode.

        Raises:
            DecodeFailed: nothing was read, unless the error is fatal: then everything is in doubt.

        """
        rows = self._batch.fill(chunks)
        code: int = api.llama_decode(self._handle, self._batch.rows)
        if code != 0:
            raise DecodeFailed(code)
        api.llama_synchronize(self._handle)
        return rows

    def sampler(self, params: SamplingParams) -> Sampler:
        """A fresh sampler for one sequence."""
        return Sampler(params, self._model.vocabulary_size)

    def sample(self, sampler: Sampler, row: int) -> int:
        """Draw the next token after an output row of the last decode, and count it for the penalties."""
        token: int = api.llama_sampler_sample(sampler.handle, self._handle, row)
        return token

    def release(self, sampler: Sampler) -> None:
        """Free a sampler."""
        sampler.close()

    def forget(self, slot: int) -> None:
        """Empty a slot. Removing a whole sequence cannot fail; a cut could, and is not used."""
        api.llama_memory_seq_rm(api.llama_get_memory(self._handle), slot, -1, -1)

    def rebuild(self) -> None:
        """Throw the context away and make a new one. Raises LoadFailed if there is no memory for it."""
        api.llama_free(self._handle)
        self._handle = None
        self._handle = _new_context(self._model, self._settings)

    def is_end(self, token: int) -> bool:
        """Whether this token ends a sequence."""
        return token in self._model.end_tokens

    def piece(self, token: int) -> bytes:
        """The token's bytes."""
        return self._model.piece(token)

    def close(self) -> None:
        """Free the context; a second call does nothing."""
        if self._handle is not None:
            api.llama_free(self._handle)
            self._handle = None


def _new_context(model: Model, settings: ContextSettings) -> Handle:
    params = api.llama_context_default_params()
    params.n_ctx = settings.context_tokens
    params.n_batch = params.n_ubatch = settings.batch_tokens
    params.n_seq_max = settings.slots
    params.n_threads = params.n_threads_batch = settings.threads
    params.no_perf = True
    handle = api.llama_init_from_model(model.handle, params)
    if not handle:
        raise LoadFailed(
            f"not enough memory for a context of {settings.context_tokens} tokens: choose a smaller one by --context",
        )
    return handle


def _is_built_for_amx() -> bool:
    """Whether matrix products would go to the CPU's tile unit, which must not be.

    GCC 12 and older drop most of the stores that fill the tile configuration (the intrinsic declares 8 of its 64 bytes
    as read), so a llama.cpp that they built dies of SIGILL in the first product. A build does not tell its compiler.
    Without the extra buffer types AVX-512 does the work; repacking of some formats is lost with them.
    """
    info: bytes = api.llama_print_system_info()
    return b"AMX_INT8 = 1" in info


def _check_magic(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(len(_GGUF_MAGIC))
    except OSError as error:
        raise LoadFailed(f"cannot read {path}: {error.strerror}") from error
    if magic != _GGUF_MAGIC:
        raise LoadFailed(f"{path} is not a GGUF file: download it again, or give another path")
