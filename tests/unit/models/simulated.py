"""A model whose next token is a function of all that it has read, with a memory that behaves like llama.cpp's.

So a sequence's answer says whether it was read right: whoever shares, cuts, evicts or preempts wrongly changes it.
"""

from dataclasses import dataclass, field
from zlib import crc32

from models.engine.event import TokenScore
from models.engine.params import SamplingParams
from models.engine.step import Chunk, Layout
from models.errors import DecodeFailed

END = 0
VOCABULARY = 50


def next_token(tokens: list[int]) -> int:
    """What the model says after `tokens`: now and then the end."""
    return crc32(bytes(tokens)) % VOCABULARY


def answer(prompt: list[int], limit: int) -> list[int]:
    """What it says on its own."""
    tokens = list(prompt)
    while len(tokens) - len(prompt) < limit and (token := next_token(tokens)) != END:
        tokens.append(token)
    return tokens[len(prompt) :]


@dataclass
class SimulatedBackend:
    """Satisfies `models.engine.loop.Backend`; its samplers are nothing."""

    layout: Layout
    batch_tokens: int = 64
    fatal_steps: set[int] = field(default_factory=set)
    """Which steps lose the whole memory."""
    samplers: int = 0
    read: int = 0
    steps: int = 0
    largest_step: int = 0
    is_closed: bool = False
    _memory: dict[int, list[int]] = field(default_factory=dict)
    _cells: dict[int, set[int]] = field(default_factory=dict)
    """Of a shared pool, by slot: cells have numbers, and a copied prefix is the same cells."""
    _next_cell: int = 0
    _outputs: dict[int, int] = field(default_factory=dict)

    @property
    def used_cells(self) -> int:
        return len(set().union(*self._cells.values())) if self._cells else 0

    def employ(self, threads: int) -> None:
        pass

    def decode(self, chunks: list[Chunk]) -> list[int]:
        self.steps += 1
        rows = sum(len(chunk.tokens) for chunk in chunks)
        assert 0 < rows <= self.batch_tokens
        assert len({chunk.slot for chunk in chunks}) == len(chunks)
        assert [chunk.slot for chunk in chunks] == sorted(chunk.slot for chunk in chunks)
        if self.steps in self.fatal_steps:
            raise DecodeFailed(-3)
        if self.layout.pool_tokens is not None and self.used_cells + rows > self.layout.pool_tokens:
            raise DecodeFailed(1)
        for chunk in chunks:
            self._read(chunk)
        self.read += rows
        self.largest_step = max(self.largest_step, rows)
        wanting = [chunk.slot for chunk in chunks if chunk.wants_token]
        self._outputs = {row: next_token(self._memory[slot]) for row, slot in enumerate(wanting)}
        return list(self._outputs)

    def _read(self, chunk: Chunk) -> None:
        assert 0 <= chunk.slot < self.layout.slots
        held = self._memory.setdefault(chunk.slot, [])
        assert chunk.position == len(held), "a gap, or a position that was read before"
        held.extend(chunk.tokens)
        cells = self._cells.setdefault(chunk.slot, set())
        cells.update(range(self._next_cell, self._next_cell + len(chunk.tokens)))
        self._next_cell += len(chunk.tokens)

    def sampler(self, params: SamplingParams) -> None:
        self.samplers += 1

    def sample(self, sampler: None, row: int) -> int:
        return self._outputs.pop(row)

    def score(self, row: int, token: int, alternatives: int) -> TokenScore:
        return TokenScore(self.piece(token), 0.0)

    def release(self, sampler: None) -> None:
        self.samplers -= 1

    def forget(self, slot: int) -> None:
        self._memory.pop(slot, None)
        self._cells.pop(slot, None)

    def inherit(self, source: int, target: int, tokens: int) -> bool:
        held = self._memory.get(source, [])
        assert len(held) >= tokens, "nothing of that kind lies there"
        if not self.layout.can_cut and len(held) > tokens:
            self.forget(target)
            return False
        self._memory[target] = held[:tokens]
        # Cells are numbered upwards as they are read, so the first of a sequence are its lowest.
        self._cells[target] = set(sorted(self._cells[source])[:tokens])
        return True

    def rebuild(self) -> None:
        self._memory.clear()
        self._cells.clear()

    def is_end(self, token: int) -> bool:
        return token == END

    def piece(self, token: int) -> bytes:
        return bytes([64 + token])

    def close(self) -> None:
        self.is_closed = True
