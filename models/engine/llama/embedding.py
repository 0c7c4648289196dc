"""A context that makes one vector of each text. Belongs to one thread."""

import ctypes
from dataclasses import dataclass
from typing import Final

import numpy as np

from models.engine.embedding import Vectors
from models.engine.llama.batch import Batch
from models.engine.llama.model import Model
from models.engine.llama.native import Handle, api
from models.engine.step import Chunk
from models.errors import DecodeFailed, LoadFailed

_LONG_TOKENS: Final = 1024
"""From here on the table of who sees whom takes tens of megabytes, and flash attention does without it."""


@dataclass(frozen=True, slots=True)
class EmbeddingSettings:
    """The size of a context.

    Attributes:
        batch_tokens: the largest step, and so the longest text: no text can be read in parts.
        slots: how many texts a step may have.
        threads: that compute it.

    """

    batch_tokens: int
    slots: int
    threads: int


class EmbeddingContext:
    """Satisfies `models.engine.embedding.EmbeddingBackend`.

    Args:
        model: one that makes embeddings; must outlive the context.
        settings: how large.

    Raises:
        LoadFailed: not enough memory for it.

    """

    def __init__(self, model: Model, settings: EmbeddingSettings) -> None:
        self._width = model.embedding_width
        self._handle: Handle = _new_context(model, settings)
        self.batch_tokens: int = api.llama_n_ubatch(self._handle)
        self.slots = settings.slots
        self._batch = Batch(self.batch_tokens, settings.slots, wants_all=True)

    def embed(self, texts: list[list[int]]) -> Vectors:
        """Read texts in one step.

        Args:
            texts: token ids, none empty; at most `slots`, and `batch_tokens` together.

        Returns:
            A vector for each text, shape (texts, width), of length 1.

        Raises:
            DecodeFailed: nothing came of it.

        """
        self._batch.fill([Chunk(slot, 0, tuple(text), wants_token=True) for slot, text in enumerate(texts)])
        if memory := api.llama_get_memory(self._handle):  # models that see both ways have none
            api.llama_memory_clear(memory, False)
        code: int = api.llama_decode(self._handle, self._batch.rows)
        if code != 0:
            raise DecodeFailed(code)
        api.llama_synchronize(self._handle)
        return _normalised(np.stack([self._vector(slot) for slot in range(len(texts))]))

    def close(self) -> None:
        """Free the context; a second call does nothing."""
        if self._handle is not None:
            api.llama_free(self._handle)
            self._handle = None

    def _vector(self, slot: int) -> Vectors:
        """A view: valid until the next step."""
        pointer = api.llama_get_embeddings_seq(self._handle, slot)
        if not pointer:
            raise DecodeFailed(-1)
        floats = (ctypes.c_float * self._width).from_address(ctypes.addressof(pointer.contents))
        return np.frombuffer(memoryview(floats), np.float32)


def _normalised(vectors: Vectors) -> Vectors:
    """Of length 1; what has no length stays as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0.0)
    return unit


def _new_context(model: Model, settings: EmbeddingSettings) -> Handle:
    params = api.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = settings.batch_tokens
    params.n_seq_max = settings.slots
    params.kv_unified = True
    params.embeddings = True
    if settings.batch_tokens <= _LONG_TOKENS:
        params.flash_attn_type = api.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.n_threads = params.n_threads_batch = settings.threads
    params.no_perf = True
    handle = api.llama_init_from_model(model.handle, params)
    if not handle:
        raise LoadFailed(f"not enough memory for texts of {settings.batch_tokens} tokens: lower --context")
    return handle
