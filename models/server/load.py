"""From a model file to a warm engine."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from models.catalog.locate import ModelFile
from models.engine.event import Ended, Event, Failed
from models.engine.loop import Engine
from models.engine.params import SamplingParams
from models.engine.scheduler import Scheduler
from models.engine.threads import available_threads
from models.errors import EngineError, LoadFailed
from models.server.literal import LiteralMarks
from models.server.prompt import PromptEncoder
from models.server.request import SamplingDefaults
from models.server.service import Loaded
from models.server.settings import ServeSettings
from models.server.template import ChatTemplate

if TYPE_CHECKING:
    from models.engine.llama import Context, Model

_log = logging.getLogger(__name__)

_CHUNK_TOKENS: Final = 256
_BATCH_TOKENS: Final = 512

# For a file given by path we know no recommendation; small quantized models do better below OpenAI's 1.0.
_UNKNOWN_DEFAULTS: Final = SamplingDefaults(temperature=0.7, top_p=0.95)


@dataclass(frozen=True, slots=True)
class Weights:
    """A model in memory with its context, not yet given to an engine.

    Attributes:
        model: to be closed last, by whoever loaded it.
        context: to be owned by one thread.
        context_tokens: its size.
        threads: that it computes with.

    """

    model: "Model"
    context: "Context"
    context_tokens: int
    threads: int


def load_weights(file: ModelFile, settings: ServeSettings) -> Weights:
    """Load the file; takes from a fraction of a second to minutes, and releases the GIL.

    Raises:
        LoadFailed: it cannot be loaded on this machine.

    """
    # Only here: importing llama_cpp loads the shared library, which reads the environment that `serve` sets first.
    from models.engine import llama

    gpu = llama.choose_gpu_layers(settings.gpu_layers)
    _log.info("GPU layers: %s (%s)", "all" if gpu.layers == llama.ALL_LAYERS else gpu.layers, gpu.reason)
    model = llama.Model(file.path, gpu.layers)
    context_tokens = _clamped(settings.context_tokens, model.training_context_tokens)
    threads = settings.threads or available_threads()
    context = llama.Context(model, llama.ContextSettings(context_tokens, _BATCH_TOKENS, slots=1, threads=threads))
    return Weights(model, context, context_tokens, threads)


def build_loaded(weights: Weights, file: ModelFile, queue_limit: int, on_failure: Callable[[], None]) -> Loaded:
    """Assemble engine and encoder around loaded weights; the engine is not started.

    Raises:
        LoadFailed: the chat template does not compile.

    """
    model = weights.model
    template = ChatTemplate(model.chat_template, model.text(model.bos), model.text(model.eos), _local_time)
    encoder = PromptEncoder(model, template, LiteralMarks(model.control_texts), weights.context_tokens)
    scheduler = Scheduler(queue_limit=queue_limit, chunk_tokens=_CHUNK_TOKENS)
    engine = Engine(weights.context, scheduler, time.monotonic, on_failure)
    entry = file.entry
    defaults = SamplingDefaults(entry.temperature, entry.top_p) if entry else _UNKNOWN_DEFAULTS
    return Loaded(engine, encoder, defaults, weights.context_tokens, model.vocabulary_size)


async def warm(loaded: Loaded) -> float:
    """Generate one token, which also makes llama.cpp reserve its graph; returns the seconds that it took.

    Raises:
        LoadFailed: no token came.

    """
    loop = asyncio.get_running_loop()
    end: asyncio.Future[Ended | Failed] = loop.create_future()

    def sink(event: Event) -> None:
        if isinstance(event, Ended | Failed):
            loop.call_soon_threadsafe(end.set_result, event)

    started_at = time.monotonic()
    try:
        prompt = loaded.encoder.chat([{"role": "user", "content": "Hi"}])
        loaded.engine.submit(prompt, SamplingParams(max_tokens=1, seed=0, temperature=0.0), sink)
        event = await end
    except EngineError as error:
        raise LoadFailed(f"the model cannot generate: {error}") from error
    if isinstance(event, Failed):
        raise LoadFailed(f"the model cannot generate: {event.error}")
    return time.monotonic() - started_at


def _clamped(wanted_tokens: int, trained_tokens: int) -> int:
    if wanted_tokens <= trained_tokens:
        return wanted_tokens
    _log.warning("the model was trained for a context of %d tokens: %d is too large", trained_tokens, wanted_tokens)
    return trained_tokens


def _local_time() -> datetime:
    return datetime.now().astimezone()
