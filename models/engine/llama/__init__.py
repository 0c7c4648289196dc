"""The only imports of llama_cpp: what we use of its C API, typed and with its traps closed.

A `Model` is read-only after loading and may be used from any thread; a `Context` belongs to one thread. Free samplers,
then the context, then the model. All calls release the GIL.

Several faults inside llama.cpp abort the process instead of returning (a batch larger than n_batch, sampling a row
without logits); what guards against them is marked "aborts".
"""

from models.engine.llama.context import Context, ContextSettings
from models.engine.llama.devices import devices
from models.engine.llama.embedding import EmbeddingContext, EmbeddingSettings
from models.engine.llama.grammar import check_grammar
from models.engine.llama.model import ALL_LAYERS, GpuChoice, Model, choose_gpu_layers
from models.engine.llama.tiles import tiles_fault

__all__ = [
    "ALL_LAYERS",
    "Context",
    "ContextSettings",
    "EmbeddingContext",
    "EmbeddingSettings",
    "GpuChoice",
    "Model",
    "check_grammar",
    "choose_gpu_layers",
    "devices",
    "tiles_fault",
]
