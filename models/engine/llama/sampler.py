"""How the next token is drawn."""

from models.engine.llama.native import Handle, api
from models.engine.params import SamplingParams


class Sampler:
    """A chain of llama.cpp samplers, built for one sequence.

    The order: first what changes logits by name (penalties, bias), so that the cuts see what the client wanted; then
    the cuts from cheap to dear (top_k leaves few candidates, so that top_p need not sort the vocabulary), all on
    probabilities at temperature 1, so that temperature does not move the thresholds; then temperature; then the draw.
    Penalties count generated tokens only, as OpenAI's do, however far back.
    """

    def __init__(self, params: SamplingParams, vocabulary_size: int) -> None:
        settings = api.llama_sampler_chain_default_params()
        settings.no_perf = True
        self.handle: Handle = api.llama_sampler_chain_init(settings)
        if params.has_penalties:
            self._add(
                api.llama_sampler_init_penalties(
                    vocabulary_size,
                    params.max_tokens,
                    params.repeat_penalty,
                    params.frequency_penalty,
                    params.presence_penalty,
                ),
            )
        if params.logit_bias:
            self._add(_bias_sampler(params, vocabulary_size))
        self._add_draw(params)

    def _add_draw(self, params: SamplingParams) -> None:
        if params.temperature == 0.0:
            self._add(api.llama_sampler_init_greedy())
            return
        if params.top_k > 0:
            self._add(api.llama_sampler_init_top_k(params.top_k))
        if params.top_p < 1.0:
            self._add(api.llama_sampler_init_top_p(params.top_p, 1))
        if params.min_p > 0.0:
            self._add(api.llama_sampler_init_min_p(params.min_p, 1))
        self._add(api.llama_sampler_init_temp(params.temperature))
        self._add(api.llama_sampler_init_dist(params.seed))

    def _add(self, link: Handle) -> None:
        api.llama_sampler_chain_add(self.handle, link)

    def close(self) -> None:
        """Free the chain and its links."""
        api.llama_sampler_free(self.handle)


def _bias_sampler(params: SamplingParams, vocabulary_size: int) -> Handle:
    biases = (api.llama_logit_bias * len(params.logit_bias))()
    for row, (token, bias) in zip(biases, params.logit_bias.items(), strict=True):
        row.token, row.bias = token, bias
    return api.llama_sampler_init_logit_bias(vocabulary_size, len(biases), biases)
