"""The rows of one step, laid out as llama.cpp reads them."""

import ctypes
from typing import Any

import numpy as np

from models.engine.llama.native import Handle, api
from models.engine.step import Chunk


class Batch:
    """A llama_batch whose columns are our own arrays: rows are written by slices, not one C store at a time.

    Args:
        capacity: the most tokens of a step.
        slots: ids of sequences lie below it.
        wants_all: every token's output is asked for, as pooled embeddings have to.

    """

    def __init__(self, capacity: int, slots: int, *, wants_all: bool = False) -> None:
        self.capacity = capacity
        self._wants_all = wants_all
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
        if not 0 <= chunk.slot < self._slot_ids.size:
            raise ValueError(f"slot {chunk.slot} where there are {self._slot_ids.size}")  # would be somebody else's
        self._tokens[start:end] = chunk.tokens
        self._positions[start:end] = np.arange(chunk.position, chunk.position + end - start)
        self._slot_pointers[start:end] = self._slot_ids.ctypes.data + self._slot_ids.itemsize * chunk.slot
        self._wanted[start:end] = self._wants_all
        self._wanted[end - 1] |= chunk.wants_token

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
