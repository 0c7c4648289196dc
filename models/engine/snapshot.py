"""What an engine tells of itself."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How busy the engine is, and what it has done since it was started.

    Attributes:
        running: sequences that have a slot.
        queued: sequences that wait.
        step_age_seconds: how long the call into llama.cpp that runs now has been running; 0 between calls.
        kept_tokens: read for sequences that ended, and kept for those to come.
        read_tokens: of prompts, by the model.
        inherited_tokens: of prompts, that somebody else had read.
        generated_tokens: in all answers.
        preempted: how often a sequence had to make place for others.

    """

    running: int = 0
    queued: int = 0
    step_age_seconds: float = 0.0
    kept_tokens: int = 0
    read_tokens: int = 0
    inherited_tokens: int = 0
    generated_tokens: int = 0
    preempted: int = 0
