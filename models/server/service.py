"""What the URLs serve: the model's name, how far it has got, and the engine once there is one."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from models.engine.loop import Engine, Snapshot
from models.errors import NotReady
from models.server.prompt import PromptEncoder
from models.server.request import SamplingDefaults


class Phase(StrEnum):
    """How far the model has got."""

    STARTING = "starting"
    FETCHING = "fetching"
    STANDBY = "standby"
    """All is at hand but the memory; nobody wants it yet."""
    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that is in memory.

    Attributes:
        engine: runs sequences.
        encoder: makes prompts that fit.
        defaults: sampling for requests that name none.
        context_tokens: prompt and answer together.
        vocabulary_size: bounds token ids.
        check_grammar: of a grammar and of what was delivered of an answer that follows it; raises GrammarInvalid and
            DeliveredTextUnfit; takes a while.

    """

    engine: Engine[Any]
    encoder: PromptEncoder
    defaults: SamplingDefaults
    context_tokens: int
    vocabulary_size: int
    check_grammar: Callable[[str, bytes], None]


class Service:
    """The one mutable thing that start-up and URLs share.

    Args:
        model: the name that clients call the model by.
        created: Unix time of the start.

    """

    def __init__(self, model: str, created: int) -> None:
        self.model = model
        self.created = created
        self.phase = Phase.STARTING
        self.loaded: Loaded | None = None

    def ready(self) -> Loaded:
        """The model, warm. Raises NotReady before it is."""
        if self.loaded is None or self.phase is not Phase.READY:
            raise NotReady(self.phase)
        return self.loaded

    def snapshot(self) -> Snapshot:
        """How busy the engine is; idle while there is none."""
        return self.loaded.engine.snapshot() if self.loaded else Snapshot()
