"""From a model file to a warm engine."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from models.catalog.locate import ModelFile
from models.engine.crew import Crew
from models.engine.embedding import EmbeddingEngine
from models.engine.event import Delivery, Ended, Event, Failed
from models.engine.loop import Engine
from models.engine.pace import Pace
from models.engine.params import SamplingParams
from models.engine.scheduler import Rules, Scheduler
from models.engine.sizing import STEP_TOKENS, KvLayout, Wishes, choose
from models.engine.threads import available_threads
from models.errors import EngineError, LoadFailed, RequestError
from models.fit.look import look_before_loading
from models.fit.machine import Machine
from models.fit.survey import survey
from models.server.constraint import Constraints
from models.server.embeddings import Embedder
from models.server.literal import LiteralMarks
from models.server.marks import thinking_of
from models.server.prompt import PromptEncoder
from models.server.sampling import SamplingDefaults
from models.server.service import Loaded
from models.server.settings import ServeSettings
from models.server.template import ChatTemplate
from models.tools.format import FORMATS

if TYPE_CHECKING:
    from models.engine.llama import Context, EmbeddingContext, Model

_log = logging.getLogger(__name__)

_EMBEDDING_SLOTS: Final = 64
"""Texts of one step: more do not fill the processor better."""

# For a file given by path we know no recommendation; small quantized models do better below OpenAI's 1.0.
_UNKNOWN_DEFAULTS: Final = SamplingDefaults(temperature=0.7, top_p=0.95)


@dataclass(frozen=True, slots=True)
class Weights:
    """A model in memory with its context, not yet given to an engine.

    Attributes:
        model: to be closed last, by whoever loaded it.
        context: to be owned by one thread.
        kv: how its memory is laid out; a model that makes embeddings remembers nothing.
        context_tokens: the longest sequence.
        parallel: how many run at once.
        threads: that it computes with.

    """

    model: "Model"
    context: "Context | EmbeddingContext"
    kv: Literal["split", "unified", "none"]
    context_tokens: int
    parallel: int
    threads: int


def load_weights(path: Path, settings: ServeSettings, *, uses_tiles: bool) -> Weights:
    """Load a file; takes from a fraction of a second to minutes, and releases the GIL.

    Args:
        path: the file.
        settings: all flags.
        uses_tiles: let the CPU's tile unit compute.

    Raises:
        LoadFailed: it cannot be loaded on this machine.

    """
    # Only here: importing llama_cpp loads the shared library, which reads the environment that `serve` sets first.
    from models.engine import llama

    gpu = llama.choose_gpu_layers(settings.gpu_layers)
    _log.info("GPU layers: %s (%s)", "all" if gpu.layers == llama.ALL_LAYERS else gpu.layers, gpu.reason)
    kv: KvLayout = "split" if settings.is_deterministic else settings.kv
    wishes = Wishes(settings.context_tokens, settings.parallel, kv, settings.kv_bytes)
    before = survey(settings.gpu_layers)
    look_before_loading(path, wishes, before, _log)
    model = llama.Model(path, gpu.layers, uses_tiles=uses_tiles)
    context_tokens = _clamped(settings.context_tokens, model.training_context_tokens)
    threads = settings.threads or available_threads()
    if not model.makes_text:
        return Weights(model, _embedding_context(model, context_tokens, threads), "none", context_tokens, 1, threads)
    sizing = choose(
        replace(wishes, context_tokens=context_tokens),
        bytes_per_token=model.kv_bytes_per_token,
        available_bytes=_room_for_cache(before, survey(settings.gpu_layers), model.weights_bytes),
        has_gpu=model.gpu_layers > 0,
    )
    layout: Literal["split", "unified"] = "unified" if sizing.is_unified else "split"
    _log.info("KV cache: %s (%s)", layout, sizing.reason)
    # The kernels' last digits differ with the shape of a step.
    has_flash_attention = sizing.has_flash_attention and not settings.is_deterministic
    size = llama.ContextSettings(
        sizing.cells, sizing.slots, STEP_TOKENS, threads, sizing.is_unified, has_flash_attention
    )
    return Weights(model, llama.Context(model, size), layout, context_tokens, sizing.parallel, threads)


def _room_for_cache(before: Machine, now: Machine, weights_bytes: int) -> int:
    """Free memory beside the weights. Those that are mapped from their file count as free: the kernel may take them
    back, and every step would read them again.
    """
    return now.room_bytes if now.has_gpu else max(min(now.room_bytes, before.room_bytes - weights_bytes), 0)


def _embedding_context(model: "Model", context_tokens: int, threads: int) -> "EmbeddingContext":
    from models.engine import llama

    if not model.makes_embeddings:
        raise LoadFailed("this model is made neither for chats nor for embeddings: take another one")
    return llama.EmbeddingContext(model, llama.EmbeddingSettings(context_tokens, _EMBEDDING_SLOTS, threads))


def build_loaded(
    weights: Weights,
    file: ModelFile,
    settings: ServeSettings,
    deliver: Callable[[Delivery], None],
    on_failure: Callable[[], None],
) -> Loaded | Embedder:
    """Assemble an engine and what makes prompts for it around loaded weights; the engine is not started.

    Raises:
        LoadFailed: the chat template does not compile, or takes no conversation.

    """
    from models.engine import llama

    model, context = weights.model, weights.context
    if isinstance(context, llama.EmbeddingContext):
        reader = EmbeddingEngine(context, settings.queue_limit, time.monotonic, on_failure)
        return Embedder(reader, model, weights.context_tokens, model.embedding_width)
    template = ChatTemplate(model.chat_template, model.text(model.bos), model.text(model.eos), _local_time)
    encoder = PromptEncoder(model, template, LiteralMarks(model.control_texts), weights.context_tokens)
    rules = Rules(weights.parallel, settings.queue_limit, settings.shares_prefixes, settings.is_deterministic)
    scheduler = Scheduler(rules, context.layout, Pace(STEP_TOKENS))
    engine = Engine(context, scheduler, _crew(weights, settings), time.monotonic, deliver, on_failure)
    entry = file.entry
    defaults = SamplingDefaults(entry.temperature, entry.top_p) if entry else _UNKNOWN_DEFAULTS
    form = FORMATS[template.tool_format]
    constraints = Constraints(partial(llama.check_grammar, model), form, takes_grammars=settings.allows_grammars)
    thinking = thinking_of(model.chat_template, _greeting(template))
    model.show(thinking.marks_text)
    return Loaded(
        engine,
        encoder,
        defaults,
        weights.context_tokens,
        model.vocabulary_size,
        constraints,
        thinking,
        model.control_token(form.control),
    )


def _crew(weights: Weights, settings: ServeSettings) -> Crew:
    """Another number of threads may give other last digits."""
    return Crew(weights.threads, least=weights.threads if settings.is_deterministic else 1)


async def canary(loaded: Loaded | Embedder) -> float:
    """Have the model do a little of what it is for; returns the seconds that it took.

    Raises:
        LoadFailed: nothing came of it.

    """
    started_at = time.monotonic()
    try:
        if isinstance(loaded, Embedder):
            hello = loaded.vocabulary.tokenize("Hi", add_special=True, parse_special=False)
            await asyncio.wrap_future(loaded.engine.submit([hello]))
        else:
            await _one_token(loaded)
    except EngineError as error:
        raise LoadFailed(f"the model does not answer: {error}") from error
    return time.monotonic() - started_at


async def _one_token(loaded: Loaded) -> None:
    loop = asyncio.get_running_loop()
    end: asyncio.Future[Ended | Failed] = loop.create_future()

    def sink(event: Event) -> None:
        if isinstance(event, Ended | Failed) and not end.done():  # whoever waited may have been told to stop
            end.set_result(event)

    prompt = loaded.encoder.chat([{"role": "user", "content": "Hi"}])
    loaded.engine.submit(prompt.tokens, SamplingParams(max_tokens=1, seed=0, temperature=0.0), sink)
    event = await end
    if isinstance(event, Failed):
        raise event.error


def _clamped(wanted_tokens: int, trained_tokens: int) -> int:
    if wanted_tokens <= trained_tokens:
        return wanted_tokens
    _log.warning("the model was trained for a context of %d tokens: %d is too large", trained_tokens, wanted_tokens)
    return trained_tokens


def _greeting(template: ChatTemplate) -> str:
    try:
        return template.render([{"role": "user", "content": "Hi"}])
    except RequestError as error:
        raise LoadFailed(f"the model's chat template takes no conversation ({error}): use another file") from error


def _local_time() -> datetime:
    return datetime.now().astimezone()
