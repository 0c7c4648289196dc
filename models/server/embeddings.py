"""POST /v1/embeddings: texts to vectors.

A vector means something beside vectors of the same model only, so nothing is cut or approximated here: a text that is
too long is refused, and so is a width that the model was not made for.
"""

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from models.engine.embedding import EmbeddingEngine, Vectors
from models.errors import RequestError
from models.server import wire
from models.server.generation import Terms
from models.server.prompt import Vocabulary

MAX_INPUTS: Final = 2048
"""OpenAI's own limit."""


@dataclass(frozen=True, slots=True)
class Embedder:
    """A model in memory that makes embeddings.

    Attributes:
        engine: reads texts.
        vocabulary: makes tokens of them.
        context_tokens: the longest text.
        width: numbers of a vector.

    """

    engine: EmbeddingEngine
    vocabulary: Vocabulary
    context_tokens: int
    width: int


class EmbeddingBody(Struct, frozen=True, kw_only=True):
    """The body of a request."""

    model: str
    input: str | list[str | int | list[int]]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None

    @property
    def texts(self) -> Sequence[str | list[int]]:
        """Each input: a text, or token ids, which are the model's own.

        Raises:
            RequestError: neither a text, nor texts, nor token ids, nor lists of token ids; or too many.

        """
        given = self.input
        if isinstance(given, str):
            return [given]
        ids = [item for item in given if isinstance(item, int)]
        several = [item for item in given if not isinstance(item, int)]
        if not given or len({type(item) for item in given}) != 1:
            raise RequestError("input must be a text, texts, token ids, or lists of token ids", param="input")
        if len(several) > MAX_INPUTS:
            raise RequestError(f"at most {MAX_INPUTS} inputs may be given at once", param="input")
        return several or [ids]


async def embed(embedder: Embedder, body: EmbeddingBody, terms: Terms) -> bytes:
    """The answer's body.

    Raises:
        RequestError: there is no input, or one is too long, or the width is not the model's.
        EngineError: no vectors came.

    """
    if body.dimensions not in {None, embedder.width}:
        raise RequestError(
            f"this model makes vectors of {embedder.width} numbers, which cannot be shortened", param="dimensions"
        )
    texts = await asyncio.to_thread(_encoded, embedder, body.texts)
    vectors = await asyncio.wrap_future(embedder.engine.submit(texts, terms.client, terms.deadline_at))
    return await asyncio.to_thread(_answer, body, vectors, sum(map(len, texts)))


def _encoded(embedder: Embedder, texts: Sequence[str | list[int]]) -> list[list[int]]:
    return [_tokens(embedder, text, f"input[{index}]") for index, text in enumerate(texts)]


def _tokens(embedder: Embedder, text: str | list[int], param: str) -> list[int]:
    vocabulary, most = embedder.vocabulary, embedder.context_tokens
    if not text:
        raise RequestError("an input must not be empty", param=param)
    if isinstance(text, str):
        # Tokenising ten megabytes takes seconds. A character is at least one byte, a token at most so many.
        if len(text) > most * vocabulary.longest_piece_bytes:
            raise _too_long(most, f"at least {len(text) // vocabulary.longest_piece_bytes}", param)
        text = vocabulary.tokenize(text, add_special=True, parse_special=False)
    if len(text) > most:
        raise _too_long(most, str(len(text)), param)
    if not text or not all(0 <= token < vocabulary.vocabulary_size for token in text):
        raise RequestError(f"token ids lie between 0 and {vocabulary.vocabulary_size - 1}", param=param)
    return text


def _too_long(most: int, amount: str, param: str) -> RequestError:
    return RequestError(
        f"This model's maximum context length is {most} tokens. However, your input resulted in {amount} tokens. "
        "Please reduce the length of the input.",
        param=param,
        code="context_length_exceeded",
    )


def _answer(body: EmbeddingBody, vectors: Vectors, tokens: int) -> bytes:
    write = _base64 if body.encoding_format == "base64" else _floats
    rows = [{"object": "embedding", "index": index, "embedding": write(vector)} for index, vector in enumerate(vectors)]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return wire.encode({"object": "list", "data": rows, "model": body.model, "usage": usage})


def _floats(vector: Vectors) -> list[float]:
    floats: list[float] = vector.tolist()
    return floats


def _base64(vector: Vectors) -> str:
    """As numpy reads it on the other side: 32 bits each, the lowest byte first."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()
