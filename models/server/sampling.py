"""From what a request says about sampling, and what the model's makers recommend, to the engine's parameters. Pure."""

from typing import Final

from msgspec import Struct

from models.engine.healing import NO_SEAM, Seam
from models.engine.params import SamplingParams, llama_seed
from models.errors import RequestError
from models.server.request import ChatBody, CompletionBody

_MOST_DIGITS: Final = 10
"""More than any vocabulary needs; int() refuses thousands of them."""


class SamplingDefaults(Struct, frozen=True):
    """The model makers' recommendation, for requests that name no value."""

    temperature: float
    top_p: float


def sampling_params(
    body: ChatBody | CompletionBody,
    defaults: SamplingDefaults,
    *,
    room_tokens: int,
    seed: int,
    vocabulary_size: int,
    grammar: str = "",
    opening_token: int | None = None,
    seam: Seam = NO_SEAM,
    answered: int = 0,
) -> SamplingParams:
    """How to sample one choice.

    Args:
        body: the request.
        defaults: for what it does not say.
        room_tokens: what the context has left after the prompt; max_tokens is clamped to it.
        seed: of this choice.
        vocabulary_size: bounds the token ids of logit_bias.
        grammar: that the answer has to follow, checked.
        opening_token: see SamplingParams.
        seam: where the answer broke off, see `models.engine.healing`.
        answered: tokens of the answer that the client has; they count as part of it.

    Raises:
        RequestError: logit_bias names no token.

    """
    wanted = body.wanted_tokens
    stops = body.stops
    return SamplingParams(
        max_tokens=room_tokens if wanted is None else min(max(wanted - answered, 1), room_tokens),
        seed=llama_seed(seed),
        temperature=_given(body.temperature, defaults.temperature),
        top_p=_given(body.top_p, defaults.top_p),
        top_k=max(0, body.top_k or 0),
        min_p=body.min_p or 0.0,
        frequency_penalty=body.frequency_penalty or 0.0,
        presence_penalty=body.presence_penalty or 0.0,
        repeat_penalty=body.repeat_penalty or 1.0,
        logit_bias=_logit_bias(body.logit_bias or {}, vocabulary_size),
        stop=stops,
        opening_token=opening_token,
        sent=_end(seam.delivered, max(map(len, stops), default=0)),
        grammar=grammar,
        ignore_end=bool(body.ignore_eos),
        healing=seam.due if grammar else seam.owed,
        kept=seam.kept if grammar else b"",
        logprobs=body.alternatives,
    )


def _logit_bias(biases: dict[str, float], vocabulary_size: int) -> dict[int, float]:
    # A foreign id would be written outside of the logits by llama.cpp.
    if not all(_is_token(key, vocabulary_size) for key in biases):
        raise RequestError(f"keys are token ids between 0 and {vocabulary_size - 1}", param="logit_bias")
    return {int(key): bias for key, bias in biases.items()}


def _is_token(key: str, vocabulary_size: int) -> bool:
    return key.isascii() and key.isdigit() and len(key) <= _MOST_DIGITS and int(key) < vocabulary_size


def _end(delivered: bytes, characters: int) -> str:
    return delivered.decode(errors="replace")[-characters:] if characters else ""


def _given(value: float | None, default: float) -> float:
    return default if value is None else value
