"""How much memory a model takes. Pure.

Three things take it: the weights, the cache (`models.engine.sizing` decides how much of that), and what llama.cpp sets
aside for computing. The last is reserved for the largest step: a row of logits for each of its tokens, or, where
attention is computed without flash attention, a number for each head, token of the step and token of the context; in
the same place, since the logits come last.
"""

from dataclasses import dataclass
from typing import Final

from models.catalog.entry import CatalogEntry
from models.catalog.gguf import Header
from models.engine.sizing import STEP_TOKENS, Wishes, choose

_FLOAT_BYTES: Final = 4
_HALF_BYTES: Final = 2

_HIDDEN_NUMBERS: Final = 1 << 14
"""What a token of a step takes beside that: its state and a layer's inner one, rounded up."""

_MOST_LAYERS: Final = 1 << 12
"""What a file says is believed only so far."""

PROCESS_BYTES: Final = 100 * 10**6
"""Python, llama.cpp and the vocabulary."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the need follows from.

    Attributes:
        weights_bytes: of all tensors.
        kv_bytes_per_token: keys and values of a token over all layers.
        heads: of attention, in each layer.
        vocabulary: how many tokens there are.
        trained_tokens: the context that it was trained for; None if nobody has said.

    """

    weights_bytes: int
    kv_bytes_per_token: int
    heads: int
    vocabulary: int
    trained_tokens: int | None


@dataclass(frozen=True, slots=True)
class Need:
    """The sum."""

    weights_bytes: int
    cache_bytes: int
    compute_bytes: int

    @property
    def total_bytes(self) -> int:
        """With the process around it."""
        return self.weights_bytes + self.cache_bytes + self.compute_bytes + PROCESS_BYTES

    def __str__(self) -> str:
        parts = (
            f"weights {megabytes(self.weights_bytes)} + cache {megabytes(self.cache_bytes)}",
            f"computing {megabytes(self.compute_bytes)} + process {megabytes(PROCESS_BYTES)}",
        )
        return f"{' + '.join(parts)} = {megabytes(self.total_bytes)}"


def facts_of_entry(entry: CatalogEntry) -> Facts | None:
    """From the catalogue; None if it says too little."""
    if entry.shape is None or entry.likely_bytes is None:
        return None
    shape = entry.shape
    return Facts(entry.likely_bytes, shape.kv_bytes_per_token, shape.heads, shape.vocabulary, entry.context_tokens)


def facts_of_header(header: Header) -> Facts:
    """From the file itself, as far as it says. What is made for embeddings remembers nothing."""

    def number(key: str, default: int) -> int:
        return header.numbers.get(f"{header.architecture}.{key}", default)

    layers = number("block_count", 0)
    heads = _per_layer(header, "attention.head_count", layers, default=0)
    most_heads = max(heads, default=0)
    usual = number("embedding_length", 0) // max(most_heads, 1)
    width = number("attention.key_length", usual) + number("attention.value_length", usual)
    remembers = number("pooling_type", 0) == 0 and number("attention.causal", 1) == 1
    kv_heads = _per_layer(header, "attention.head_count_kv", layers, default=most_heads) if remembers else ()
    return Facts(
        weights_bytes=header.weights_bytes,
        kv_bytes_per_token=sum(kv_heads) * width * _HALF_BYTES,
        heads=most_heads,
        vocabulary=header.counts.get("tokenizer.ggml.tokens", 0),
        trained_tokens=number("context_length", 0) or None,
    )


def _per_layer(header: Header, key: str, layers: int, *, default: int) -> tuple[int, ...]:
    """A number of each layer: the file has one for all, or a list."""
    name = f"{header.architecture}.{key}"
    return header.arrays.get(name) or (header.numbers.get(name, default),) * min(layers, _MOST_LAYERS)


def need_of(facts: Facts, wishes: Wishes, *, available_bytes: int, has_gpu: bool) -> Need:
    """What a model takes if it is served so, where so much memory is free before it is loaded."""
    context_tokens = min(wishes.context_tokens, facts.trained_tokens or wishes.context_tokens)
    sizing = choose(
        Wishes(context_tokens, wishes.parallel, wishes.kv, wishes.kv_bytes),
        bytes_per_token=max(facts.kv_bytes_per_token, 1),
        available_bytes=max(available_bytes - facts.weights_bytes, 0),
        has_gpu=has_gpu,
    )
    cache_bytes = sizing.cells * facts.kv_bytes_per_token
    attention = 0 if sizing.has_flash_attention else facts.heads * context_tokens
    width = max(facts.vocabulary, attention) + _HIDDEN_NUMBERS
    return Need(facts.weights_bytes, cache_bytes, STEP_TOKENS * width * _FLOAT_BYTES)


def megabytes(size: int) -> str:
    """A size for people."""
    return f"{size / 1e6:.0f} MB" if size < 10**10 else f"{size / 1e9:.1f} GB"
