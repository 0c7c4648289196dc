"""What one llama_decode is asked to do."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chunk:
    """A run of tokens of one sequence.

    Attributes:
        slot: the sequence's id inside the context.
        position: of the first token within the sequence.
        tokens: what to read, in order; not empty.
        wants_token: whether the next token is to be sampled after the last one of these.

    """

    slot: int
    position: int
    tokens: tuple[int, ...]
    wants_token: bool
