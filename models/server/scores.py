"""Likelihoods of tokens in OpenAI's two shapes. Pure."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from models.engine.event import TokenScore


def chat_logprobs(tokens: Iterable[TokenScore]) -> dict[str, Any]:
    """The shape of chats: of each token its bytes and what was likely in its place."""
    rows = [
        _scored(token.piece, token.logprob) | {"top_logprobs": [_scored(*other) for other in token.top]}
        for token in tokens
    ]
    return {"content": rows, "refusal": None}


def _scored(piece: bytes, logprob: float) -> dict[str, Any]:
    return {"token": spelled(piece), "logprob": logprob, "bytes": list(piece)}


def text_logprobs(tokens: Sequence[TokenScore], offset: int = 0) -> dict[str, Any]:
    """The older shape. A token that was drawn counts among the likely ones, wherever it stands."""
    texts = [spelled(token.piece) for token in tokens]
    offsets = itertools.accumulate(map(len, texts), initial=offset)
    likely = [{spelled(piece): logprob for piece, logprob in token.top} for token in tokens]
    return {
        "tokens": texts,
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [row | {text: token.logprob} for row, text, token in zip(likely, texts, tokens, strict=True)],
        "text_offset": list(offsets)[: len(texts)],
    }


def spelled(piece: bytes) -> str:
    """A part of a character has no spelling of its own."""
    return piece.decode(errors="replace")
