"""What the URLs serve: the model's name, how far it has got, and the engine once there is one."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from models.engine.loop import Engine
from models.engine.snapshot import Snapshot
from models.errors import NotReady, RequestError
from models.server.constraint import Constraints
from models.server.embeddings import Embedder
from models.server.marks import NEVER, Thinking
from models.server.prompt import PromptEncoder
from models.server.sampling import SamplingDefaults


class Phase(StrEnum):
    """How far the model has got."""

    STARTING = "starting"
    FETCHING = "fetching"
    STANDBY = "standby"
    """All is at hand but the memory; nobody wants it yet."""
    CONVERTING = "converting"
    """Into a faster format, once."""
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
        constraints: makes grammars that answers follow.
        thinking: how the model does.
        calls_token: the control token that it says before calls of tools; None if it has none.

    """

    engine: Engine[Any]
    encoder: PromptEncoder
    defaults: SamplingDefaults
    context_tokens: int
    vocabulary_size: int
    constraints: Constraints
    thinking: Thinking = NEVER
    calls_token: int | None = None


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
        self.loaded: Loaded | Embedder | None = None

    def ready(self) -> Loaded:
        """The model, warm. Raises NotReady before it is, RequestError if it is not made for text."""
        loaded = self._warm()
        if isinstance(loaded, Embedder):
            raise RequestError(f"the model `{self.model}` makes embeddings only, at /v1/embeddings", param="model")
        return loaded

    def ready_embedder(self) -> Embedder:
        """The model, warm. Raises NotReady before it is, RequestError if it is not made for embeddings."""
        loaded = self._warm()
        if not isinstance(loaded, Embedder):
            raise RequestError(f"the model `{self.model}` makes no embeddings", param="model")
        return loaded

    def _warm(self) -> Loaded | Embedder:
        if self.loaded is None or self.phase is not Phase.READY:
            raise NotReady(self.phase)
        return self.loaded

    def snapshot(self) -> Snapshot:
        """How busy the engine is; idle while there is none."""
        return self.loaded.engine.snapshot() if self.loaded else Snapshot()
