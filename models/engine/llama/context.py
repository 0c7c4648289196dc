"""A model's working memory: reads chunks, remembers them by slot, gives the next token. Belongs to one thread."""

from dataclasses import dataclass

from models.engine.event import TokenScore
from models.engine.likelihood import likelihood
from models.engine.llama.batch import Batch
from models.engine.llama.model import Model
from models.engine.llama.native import Handle, api
from models.engine.llama.sampler import Sampler, logits_view
from models.engine.params import SamplingParams
from models.engine.step import Chunk, Layout
from models.errors import DecodeFailed, LoadFailed


@dataclass(frozen=True, slots=True)
class ContextSettings:
    """The size of a context.

    Attributes:
        cells: how many tokens it remembers, all sequences together.
        slots: how many sequences may be in it at once.
        batch_tokens: the largest step.
        threads: for steps of one token and of many alike: a step that mixes sequences counts as many.
        is_unified: whether all slots share the cells; else each has its part.
        has_flash_attention: whether to use its kernels, which differ in the last digits with the shape of a step.

    """

    cells: int
    slots: int
    batch_tokens: int
    threads: int
    is_unified: bool = False
    has_flash_attention: bool = False


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
        self.layout = Layout(settings.slots, settings.cells if settings.is_unified else None, self._can_cut())

    def employ(self, threads: int) -> None:
        """Decode with so many threads from now on."""
        api.llama_set_n_threads(self._handle, threads, threads)

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
        """A fresh sampler for one sequence. Raises GrammarInvalid."""
        return Sampler(params, self._model)

    def sample(self, sampler: Sampler, row: int) -> int:
        """Draw the next token after an output row of the last decode, and count it."""
        return sampler.draw(self._handle, row)

    def score(self, row: int, token: int, alternatives: int) -> TokenScore:
        """How likely a token was after an output row of the last decode, and so many of the likeliest in its place."""
        found = likelihood(logits_view(self._handle, row, self._model.vocabulary_size), token, alternatives)
        top = tuple((self._model.spelling(each), logprob) for each, logprob in found.top)
        return TokenScore(self._model.spelling(token), found.logprob, top)

    def release(self, sampler: Sampler) -> None:
        """Free a sampler."""
        sampler.close()

    def forget(self, slot: int) -> None:
        """Empty a slot. Removing a whole sequence cannot fail."""
        api.llama_memory_seq_rm(self._memory, slot, -1, -1)

    def inherit(self, source: int, target: int, tokens: int) -> bool:
        """Let slot `target` hold the first `tokens` of what `source` holds, and nothing else; both may be the same.

        False if the model's memory cannot do that, which some memories do not tell: a copy of a sliding window may be
        empty although every call succeeded. So what came of it is looked at. Then `target` is empty.
        """
        if source != target:
            self._copy(source, target, tokens)
        is_cut = api.llama_memory_seq_rm(self._memory, target, tokens, -1)
        is_done = bool(is_cut) and self._holds(target, tokens)
        if not is_done:
            self.forget(target)
        return is_done

    def _copy(self, source: int, target: int, tokens: int) -> None:
        self.forget(target)
        is_partial = self._settings.is_unified and self.layout.can_cut
        end = tokens if is_partial else -1  # a split cache copies whole sequences; anything else aborts
        api.llama_memory_seq_cp(self._memory, source, target, 0 if is_partial else -1, end)

    def _holds(self, slot: int, tokens: int) -> bool:
        """Whether a slot holds the first `tokens` of a sequence. A recurrent state has its last position only."""
        first = api.llama_memory_seq_pos_min(self._memory, slot)
        last = api.llama_memory_seq_pos_max(self._memory, slot)
        return last == tokens - 1 and (first == 0 or not self.layout.can_cut)

    def _can_cut(self) -> bool:
        """Whether a sequence can be shortened: tried on two tokens, which also makes llama.cpp reserve its graph."""
        self.layout = Layout(self._settings.slots)
        token = self._model.bos or 0
        self.decode([Chunk(0, 0, (token, token), wants_token=False)])
        can_cut = bool(api.llama_memory_seq_rm(self._memory, 0, 1, -1)) and self._holds(0, 1)
        self.forget(0)
        return can_cut

    @property
    def _memory(self) -> Handle:
        return api.llama_get_memory(self._handle)

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
    params.n_ctx = settings.cells
    params.n_batch = params.n_ubatch = settings.batch_tokens
    params.n_seq_max = settings.slots
    params.kv_unified = settings.is_unified
    if not settings.has_flash_attention:
        params.flash_attn_type = api.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.n_threads = params.n_threads_batch = settings.threads
    params.no_perf = True
    handle = api.llama_init_from_model(model.handle, params)
    if not handle:
        raise LoadFailed(
            f"not enough memory for a cache of {settings.cells} tokens: lower --context, --parallel or --kv-memory",
        )
    return handle
