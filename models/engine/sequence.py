"""One request's tokens and how far the model has read them."""

from dataclasses import dataclass, field

from models.engine.event import Sink
from models.engine.params import SamplingParams


@dataclass(slots=True, eq=False)
class Sequence:
    """A prompt that grows by one token at a time.

    Prefill and decode are the same thing here: tokens[position:] is what the model has not read yet. A fresh sequence
    has its whole prompt to read; a running one just the token sampled last.

    Attributes:
        id: unique within the engine.
        client: whom fairness counts it for.
        tokens: the prompt, then what was generated. Not empty.
        params: how it is sampled and when it ends.
        sink: where its events go.
        deadline_at: monotonic seconds; if it still waits then, it is turned away. None waits for ever.
        position: how many tokens the model has read.
        slot: the model's id for it while it runs, -1 before.

    """

    id: int
    client: str
    tokens: list[int]
    params: SamplingParams
    sink: Sink
    deadline_at: float | None = None
    position: int = 0
    slot: int = -1
    prompt_tokens: int = field(init=False)

    def __post_init__(self) -> None:
        if not self.tokens:
            raise ValueError("a sequence needs at least one prompt token")
        self.prompt_tokens = len(self.tokens)

    @property
    def completion_tokens(self) -> int:
        """How many tokens were generated; the one that says "end" is not counted."""
        return len(self.tokens) - self.prompt_tokens

    @property
    def is_full(self) -> bool:
        """Whether it has generated all that was asked for."""
        return self.completion_tokens >= self.params.max_tokens

    def is_late(self, now: float) -> bool:
        """Whether its deadline has passed."""
        return self.deadline_at is not None and now >= self.deadline_at
