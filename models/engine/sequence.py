"""One request's tokens and how far the model has read them."""

from dataclasses import dataclass, field

from models.engine.event import Sink
from models.engine.params import SamplingParams


@dataclass(slots=True, eq=False)
class Sequence:
    """A prompt that grows by one token at a time.

    Prefill and decode are the same thing here: tokens[position:] is what the model has not read yet. A fresh sequence
    has its whole prompt to read; a running one just the token sampled last; one that was preempted has everything to
    read again, its own words included.

    Attributes:
        id: unique within the engine.
        client: whom fairness counts it for, and with whose other sequences it may share a prefix.
        tokens: the prompt, then what was generated. Not empty.
        params: how it is sampled and when it ends.
        sink: where its events go.
        deadline_at: monotonic seconds; if it still waits then, it is turned away. None waits for ever.
        weight: how much more than others its client may have.
        is_priming: nothing is to be generated: its prompt is read for those who come later, while there is nothing else
            to do.
        position: how many tokens the model has read.
        slot: the model's id for it while it runs, else -1.
        inheritance: whose tokens it need not read itself, until it has got them.
        inherited: how many it has got that way.
        cached_tokens: how many of the prompt's it had got that way when it generated its first.
        wipes: how often the model's memory was lost under it.
        has_started: it has run once, so its client was told that an answer comes.

    """

    id: int
    client: str
    tokens: list[int]
    params: SamplingParams
    sink: Sink
    deadline_at: float | None = None
    weight: float = 1.0
    is_priming: bool = False
    position: int = 0
    slot: int = -1
    inheritance: "Inheritance | None" = None
    inherited: int = 0
    cached_tokens: int = 0
    wipes: int = 0
    has_started: bool = False
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
    def unread(self) -> int:
        """How many tokens the model has yet to read."""
        return len(self.tokens) - self.position

    @property
    def inheritable(self) -> int:
        """How many tokens somebody else may have read: the last one has to be read here, for what comes after it."""
        return len(self.tokens) - (not self.is_priming)

    @property
    def is_decoding(self) -> bool:
        """Whether all that is left to read is the token sampled last."""
        return self.unread == 1 and self.position > 0 and self.completion_tokens > 0

    @property
    def is_full(self) -> bool:
        """Whether it has generated all that was asked for."""
        return self.completion_tokens >= self.params.max_tokens

    @property
    def cost_tokens(self) -> int:
        """What it may cost, for fairness."""
        return self.prompt_tokens + self.params.max_tokens

    def inherit(self, tokens: int) -> None:
        """So many of its tokens need not be read, and nothing else is waited for."""
        self.position = self.inherited = tokens
        self.inheritance = None
        # What it inherits after it was preempted, its own words perhaps, is no news to the client.
        if not self.completion_tokens:
            self.cached_tokens = tokens

    def forget(self) -> None:
        """All that was read for it is lost."""
        self.inherit(0)

    def is_late(self, now: float) -> bool:
        """Whether its deadline has passed."""
        return self.deadline_at is not None and now >= self.deadline_at


@dataclass(frozen=True, slots=True)
class Inheritance:
    """A prefix that somebody else has read or is about to read.

    Attributes:
        tokens: its length.
        kept_in: the slot where it lies complete; -1 while `reader` is at it.
        reader: the running sequence that reads it.

    """

    tokens: int
    kept_in: int = -1
    reader: Sequence | None = None

    @property
    def slot(self) -> int:
        """Where it lies."""
        return self.kept_in if self.reader is None else self.reader.slot
