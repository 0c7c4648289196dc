"""From a request's model and needs to the ordered list of upstreams that may answer it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Literal

from proxy.core.word import Word


class Need(Word):
    """What a request asks for beyond plain text. The values stand in `x-hotspare-degraded`; of what an upstream is not
    told they are the names of the request's fields.
    """

    TOOLS = "tools"
    REQUIRED_TOOL = "required_tool"
    JSON = "json"
    LOGPROBS = "logprobs"
    LOGIT_BIAS = "logit_bias"
    NUMBERED_PROMPT = "token_ids"
    """A prompt of token ids."""
    VISION = "vision"
    AUDIO = "audio"
    EMBEDDINGS = "embeddings"
    HISTORY = "history"
    """All of the conversation. Every request asks for that; lost it is where the local model's context is too small."""


class Loss(Enum):
    """What happens to a need that an upstream cannot meet."""

    DROP = "the answer is still of use without it: answer, and say what was lost"
    REFUSE = "an answer without it would break the client or mislead it: go to another upstream"


LOSS_OF_LOCAL_MODEL: Mapping[Need, Loss] = MappingProxyType(
    {
        # The rest of a conversation is worth an answer, and the client is told.
        Need.HISTORY: Loss.DROP,
        # Both number the tokens of the model that was asked for. In another vocabulary they are other words: a prompt
        # of them is nonsense, and an answer that is held to them too. Without the bias it is an answer.
        Need.LOGIT_BIAS: Loss.DROP,
        Need.NUMBERED_PROMPT: Loss.REFUSE,
        Need.VISION: Loss.REFUSE,
        Need.AUDIO: Loss.REFUSE,
        # Vectors of another model poison an index without anybody noticing.
        Need.EMBEDDINGS: Loss.REFUSE,
    }
)


Prefill = Literal["hotspare", "assistant", "prefix", "vllm"]
"""How a server is asked to go on behind a text; see wire/continuation.py."""

Resume = Literal["off", "local", "all"]
"""Who may go on with a stream that breaks: nobody, the local model, or whoever knows how."""


@dataclass(frozen=True, slots=True)
class Target:
    """An upstream as routing sees it. `models` maps public names to the upstream's own; others pass unchanged."""

    name: str
    models: Mapping[str, str]
    loss: Mapping[Need, Loss]
    is_local: bool = False
    served_model: str | None = None
    """Set where one model answers whatever was asked for: the local one."""
    prefill: Prefill | None = None
    """None: it cannot go on behind a text."""

    def model_for(self, public: str) -> str:
        """The name to ask this upstream for."""
        return self.served_model or self.models.get(public, public)


@dataclass(frozen=True, slots=True)
class Route:
    """Requests whose model matches the shell pattern `match` go to `targets`, in order."""

    match: str
    targets: tuple[Target, ...]
    resume: Resume = "local"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One upstream that may answer, under which model name, and what the client would lose."""

    upstream: str
    model: str
    is_local: bool
    losses: tuple[Need, ...] = ()
    prefill: Prefill | None = None
    """How it is asked to go on with a stream of somebody else's; None: it is not."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Who may answer, in order, and which needs kept the others out."""

    candidates: tuple[Candidate, ...]
    refused: Mapping[str, tuple[Need, ...]]


_OF_ITS_VOCABULARY = frozenset({Need.LOGIT_BIAS, Need.NUMBERED_PROMPT})
"""What the local model can do for those who ask for it by its name."""

_PLANS = 1024


class Router:
    """Model name → candidates. The first route that matches wins; unmatched models take the default route."""

    def __init__(self, routes: Sequence[Route], default: Route) -> None:
        self._routes = (*routes, default)
        self._plans: dict[tuple[str, frozenset[Need]], Plan] = {}

    def plan(self, model: str, needs: frozenset[Need]) -> Plan:
        """The candidates for a request. Whoever asks for the local model by its name gets the local model.

        A plan depends on nothing else, so that a thousand routes cost what one does.
        """
        plan = self._plans.get((model, needs))
        if plan is None:
            if len(self._plans) >= _PLANS:  # model names come from clients
                self._plans.clear()
            plan = self._plans[model, needs] = self._plan(model, needs)
        return plan

    def _plan(self, model: str, needs: frozenset[Need]) -> Plan:
        route = next(route for route in self._routes if fnmatchcase(model, route.match))
        named = tuple(target for target in route.targets if target.served_model == model)
        if named:
            return _compare(named, route.resume, model, needs - _OF_ITS_VOCABULARY)
        return _compare(route.targets, route.resume, model, needs)


def _compare(targets: Sequence[Target], resume: Resume, model: str, needs: frozenset[Need]) -> Plan:
    candidates: list[Candidate] = []
    refused: dict[str, tuple[Need, ...]] = {}
    for target in targets:
        lost = tuple(sorted(needs & target.loss.keys()))
        fatal = tuple(need for need in lost if target.loss[need] is Loss.REFUSE)
        if fatal:
            refused[target.name] = fatal
        else:
            prefill = target.prefill if resume == "all" or (resume == "local" and target.is_local) else None
            candidates.append(Candidate(target.name, target.model_for(model), target.is_local, lost, prefill))
    return Plan(tuple(candidates), MappingProxyType(refused))
