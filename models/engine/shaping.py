"""What a client wants changed about the logits before the draw: penalties and biases, pure."""

from collections.abc import Iterable

import numpy as np

from models.engine.drawing import Logits
from models.engine.params import SamplingParams


class Shaping:
    """One sequence's penalties and biases.

    Penalties count generated tokens only, as OpenAI's do, however far back. They come before the bias, so that a bias
    of -100 bans and one of 100 chooses whatever has been said.

    Args:
        params: what the client asked for; ids in logit_bias lie inside the vocabulary.
        vocabulary_size: length of a row.
        end_tokens: never drawn if the sequence is to ignore them.
        suppressed: never drawn.

    """

    def __init__(
        self,
        params: SamplingParams,
        vocabulary_size: int,
        end_tokens: Iterable[int],
        suppressed: Iterable[int] = (),
    ) -> None:
        banned = (*suppressed, *(end_tokens if params.ignore_end else ()))
        biases = {**params.logit_bias, **dict.fromkeys(banned, -np.inf)}
        self._biased = np.array(list(biases), np.intp)
        self._biases = np.array(list(biases.values()), np.float32)
        self._params = params
        self._places: dict[int, int] = {}
        size = vocabulary_size if params.has_penalties else 0
        self._seen = np.zeros(size, np.intp)
        self._counts = np.zeros(size, np.float32)

    def count(self, token: int) -> None:
        """Count a generated token."""
        if not self._params.has_penalties:
            return
        place = self._places.setdefault(token, len(self._places))
        self._seen[place] = token
        self._counts[place] += 1.0

    def apply(self, logits: Logits) -> Logits:
        """Return a row as the client wants it: a new one, or the same if nothing changes."""
        if not self._places and not self._biased.size:
            return logits
        shaped = logits.copy()
        self._penalize(shaped)
        shaped[self._biased] += self._biases
        return shaped

    def _penalize(self, logits: Logits) -> None:
        params = self._params
        seen, counts = self._seen[: len(self._places)], self._counts[: len(self._places)]
        repeated = logits[seen]
        # A factor makes what is unlikely likelier, a divisor what is likely: both have to lose.
        repeated = np.where(repeated > 0.0, repeated / params.repeat_penalty, repeated * params.repeat_penalty)
        logits[seen] = repeated - counts * params.frequency_penalty - params.presence_penalty
