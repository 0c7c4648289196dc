"""A model's working memory: reads chunks, remembers them by slot, gives the next token. Belongs to one thread."""

from dataclasses import dataclass

from models.engine.llama.batch import Batch
from models.engine.llama.model import Model
from models.engine.llama.native import Handle, api
from models.engine.llama.sampler import Sampler
from models.engine.params import SamplingParams
from models.engine.step import Chunk
from models.errors import DecodeFailed, LoadFailed


@dataclass(frozen=True, slots=True)
class ContextSettings:
    """The size of a context.

    Attributes:
        context_tokens: positions in all.
        batch_tokens: the largest step.
        slots: how many sequences may be in it at once.
        threads: for steps of one token and of many alike: a step that mixes sequences counts as many.

    """

    context_tokens: int
    batch_tokens: int
    slots: int
    threads: int


class Context:
    """A model's working memory; satisfies `models.engine.loop.Backend`.

    Args:
        model: must outlive the context.
        settings: how large.

    Raises:
        LoadFailed: not enough memory for the cache.

    """

    def __init__(self, model: Model, settings: ContextSettings) -> None:
        self._model = model
        self._settings = settings
        self._handle: Handle = _new_context(model, settings)
        self._batch = Batch(min(settings.batch_tokens, api.llama_n_batch(self._handle)), settings.slots)

    def decode(self, chunks: list[Chunk]) -> list[int]:
        """Read the chunks in one step.

        Returns:
            The output row of each chunk that wants a token, valid until the next decode.

        Raises:
            DecodeFailed: nothing was read, unless the error is fatal: then everything is in doubt.

        """
        rows = self._batch.fill(chunks)
        code: int = api.llama_decode(self._handle, self._batch.rows)
        if code != 0:
            raise DecodeFailed(code)
        api.llama_synchronize(self._handle)
        return rows

    def sampler(self, params: SamplingParams) -> Sampler:
        """A fresh sampler for one sequence."""
        return Sampler(params, self._model.vocabulary_size)

    def sample(self, sampler: Sampler, row: int) -> int:
        """Draw the next token after an output row of the last decode, and count it for the penalties."""
        token: int = api.llama_sampler_sample(sampler.handle, self._handle, row)
        return token

    def release(self, sampler: Sampler) -> None:
        """Free a sampler."""
        sampler.close()

    def forget(self, slot: int) -> None:
        """Empty a slot. Removing a whole sequence cannot fail; a cut could, and is not used."""
        api.llama_memory_seq_rm(api.llama_get_memory(self._handle), slot, -1, -1)

    def rebuild(self) -> None:
        """Throw the context away and make a new one. Raises LoadFailed if there is no memory for it."""
        api.llama_free(self._handle)
        self._handle = None
        self._handle = _new_context(self._model, self._settings)

    def is_end(self, token: int) -> bool:
        """Whether this token ends a sequence."""
        return token in self._model.end_tokens

    def piece(self, token: int) -> bytes:
        """The token's bytes."""
        return self._model.piece(token)

    def close(self) -> None:
        """Free the context; a second call does nothing."""
        if self._handle is not None:
            api.llama_free(self._handle)
            self._handle = None


def _new_context(model: Model, settings: ContextSettings) -> Handle:
    params = api.llama_context_default_params()
    params.n_ctx = settings.context_tokens
    params.n_batch = params.n_ubatch = settings.batch_tokens
    params.n_seq_max = settings.slots
    params.n_threads = params.n_threads_batch = settings.threads
    params.no_perf = True
    handle = api.llama_init_from_model(model.handle, params)
    if not handle:
        raise LoadFailed(
            f"not enough memory for a context of {settings.context_tokens} tokens: choose a smaller one by --context",
        )
    return handle
