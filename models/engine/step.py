"""What the model's memory is asked to do."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chunk:
    """A run of tokens of one sequence, to be read.

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


@dataclass(frozen=True, slots=True)
class Layout:
    """How a model's memory is laid out, and what can be done with it.

    Attributes:
        slots: how many sequences it can hold, running and kept.
        pool_tokens: how many tokens all slots hold together, where they share one pool; None where each slot has room
            for a whole context.
        can_cut: whether a sequence can be shortened. Recurrent models have one state for all that they have read: it
            can be copied, but not taken back.

    """

    slots: int
    pool_tokens: int | None = None
    can_cut: bool = True

    @property
    def is_split(self) -> bool:
        """Whether each slot has cells of its own."""
        return self.pool_tokens is None
