"""How one sequence is sampled and when it ends."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

# llama.cpp reads this seed as "choose one at random"; `SamplingParams.seed` must never be it.
RANDOM_SEED: Final = 0xFFFFFFFF

MOST_ALTERNATIVES: Final = 20
"""OpenAI's own limit of top_logprobs."""


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """What the client asked for, already validated.

    Attributes:
        max_tokens: at least 1; the sequence ends with `Finish.LENGTH` when it has generated so many.
        seed: 0 to 2**32 - 2. The same seed on the same prompt gives the same text.
        temperature: 0 takes the likeliest token and ignores top_k, top_p, min_p and seed.
        top_p: keep the likeliest tokens up to this probability mass; 1 keeps all.
        top_k: keep so many of the likeliest tokens; 0 keeps all.
        min_p: drop tokens less likely than this share of the likeliest one; 0 drops none.
        frequency_penalty: subtracted from a token's logit for each time it was generated.
        presence_penalty: subtracted once from the logit of each token that was generated.
        repeat_penalty: divides the logits of generated tokens; 1 leaves them.
        logit_bias: token id to a number that is added to its logit.
        stop: texts that end the sequence and are not part of it; none is empty.
        grammar: GBNF that the answer has to follow, from its rule `root`; has passed `check_grammar`. "" is free.
        ignore_end: end tokens are never drawn, so the sequence runs to max_tokens. (Where a grammar lets nothing else
            follow, it ends all the same.)
        healing: what the text to come has to begin with: the client has it already, and does not get it again.
        kept: what of the answer stands at the end of the prompt; the grammar begins behind it. Unused without one.
        opening_token: may be the first that is drawn although the grammar, to which it is no text, knows nothing of it.
        sent: the end of what the client has of the answer, as far as a stop string may begin in it.
        logprobs: tell of each token how likely it was, and so many of the likeliest in its place, 0 to
            MOST_ALTERNATIVES; None tells nothing.

    """

    max_tokens: int
    seed: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repeat_penalty: float = 1.0
    logit_bias: Mapping[int, float] = field(default_factory=lambda: MappingProxyType({}))
    stop: tuple[str, ...] = ()
    grammar: str = ""
    ignore_end: bool = False
    healing: bytes = b""
    kept: bytes = b""
    opening_token: int | None = None
    sent: str = ""
    logprobs: int | None = None

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, not {self.max_tokens}")
        if not 0 <= self.seed < RANDOM_SEED:
            raise ValueError(f"seed must lie between 0 and {RANDOM_SEED - 1}, not {self.seed}")
        if self.logprobs is not None and not 0 <= self.logprobs <= MOST_ALTERNATIVES:
            raise ValueError(f"logprobs must lie between 0 and {MOST_ALTERNATIVES}, not {self.logprobs}")
        if "" in self.stop:
            raise ValueError("a stop string must not be empty")

    @property
    def has_penalties(self) -> bool:
        """Whether the tokens generated so far change the next one's logits."""
        return bool(self.frequency_penalty or self.presence_penalty or self.repeat_penalty != 1.0)

    @property
    def has_cuts(self) -> bool:
        """Whether some tokens are left out of the draw for being unlikely."""
        return self.top_k > 0 or self.top_p < 1.0 or self.min_p > 0.0


def llama_seed(seed: int) -> int:
    """Any integer as a seed that llama.cpp takes literally."""
    return seed % RANDOM_SEED
