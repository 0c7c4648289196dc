"""How one sequence's next token is drawn."""

import ctypes
from collections.abc import Iterator
from random import Random
from typing import Final

import numpy as np

from models.engine.drawing import Indices, Logits, draw, likeliest
from models.engine.healing import Healing
from models.engine.llama.grammar import Grammar, grammar_behind
from models.engine.llama.model import Model
from models.engine.llama.native import Handle, api
from models.engine.params import SamplingParams
from models.engine.shaping import Shaping

# How many of the likeliest tokens are shown to a grammar that has refused one, and how many if it refuses them all.
# Mostly the first will do: 0.1 to 0.2 ms against 10 to 25 ms for a vocabulary of 49,152.
_GRAMMAR_SIZES: Final = (256, 4096)


class Sampler:
    """Draws one sequence's tokens and remembers what it has drawn.

    The road of a row of logits: penalties and biases, then one of

    - healing: a draw among the tokens that can stand at the seam, until what is owed is spelled;
    - free: a draw among all.

    With a grammar: one draw, and one look whether the grammar permits it. Mostly it does. If not, a second draw among
    what it permits of the likeliest tokens; both together give each permitted token the probability that it has among
    them. Tokens further down count only if none of those is permitted. At the seam that always finds one, because the
    text that was delivered follows the grammar.

    Args:
        params: what the client asked for.
        model: whose tokens they are.

    Raises:
        GrammarInvalid: the grammar would not have passed `check_grammar`.
        DeliveredTextUnfit: nor would what is kept of the answer.

    """

    def __init__(self, params: SamplingParams, model: Model) -> None:
        self._params = params
        self._model = model
        self._dice = Random(params.seed)
        self._shaping = Shaping(params, model.vocabulary_size, model.end_tokens, model.suppressed_tokens)
        self._healing = Healing(params.healing)
        self._opening = params.opening_token
        self._grammar = grammar_behind(model, params.grammar, params.kept) if params.grammar else None

    def draw(self, context: Handle, row: int) -> int:
        """Draw the next token after a row of a context's last decode, and count it.

        Returns:
            The token; an end token also where the grammar lets nothing follow.

        Raises:
            ValueError: the row's logits were not asked for.

        """
        return self.draw_from(logits_view(context, row, self._model.vocabulary_size))

    def draw_from(self, logits: Logits) -> int:
        """Draw the next token from a row of logits, shape (vocabulary,), and count it. The row is left as it is."""
        token = self._choose(self._shaping.apply(logits))
        self._opening = None
        self._shaping.count(token)
        self._healing.feed(self._model.piece(token))
        return token

    def close(self) -> None:
        """Free what llama.cpp holds; a second call does nothing."""
        if self._grammar is not None:
            self._grammar.close()
            self._grammar = None

    def _choose(self, logits: Logits) -> int:
        """An end token if the grammar lets nothing else follow."""
        if self._healing.owed and (healed := self._heal(logits)) is not None:
            return healed
        token = self._pick(logits)
        return min(self._model.end_tokens) if token is None else token

    def _heal(self, logits: Logits) -> int | None:
        """A token for the seam; None if the vocabulary or the grammar has none: then the seam stays as it is."""
        tokens = _possible(self._model.piece_index.leading_to(self._healing.owed), logits)
        return self._pick(logits, tokens) if tokens.size else None

    def _pick(self, logits: Logits, tokens: Indices | None = None) -> int | None:
        """Draw one of these tokens, or of all; None if the grammar permits none of them."""
        token = self._among(logits, tokens)
        if self._grammar is None or token == self._opening or self._grammar.accept(token):
            return token
        return self._comply(logits, tokens, self._grammar)

    def _comply(self, logits: Logits, tokens: Indices | None, grammar: Grammar) -> int | None:
        for head in _heads(logits, tokens):
            possible = _possible(head, logits)
            permitted = possible[grammar.permits(possible)]
            if permitted.size:
                token = self._among(logits, permitted)
                grammar.accept(token)
                return token
        return None

    def _among(self, logits: Logits, tokens: Indices | None) -> int:
        chance = self._dice.random() if self._params.temperature else 0.0
        if tokens is None:
            return draw(logits, self._params, chance)
        return int(tokens[draw(logits[tokens], self._params, chance)])


def _heads(logits: Logits, tokens: Indices | None) -> Iterator[Indices]:
    """The likeliest of these tokens, or of all: some, more, all of them."""
    row = logits if tokens is None else logits[tokens]
    for size in (*_GRAMMAR_SIZES, row.size):
        places = likeliest(row, size)
        yield places if tokens is None else tokens[places]


def _possible(tokens: Indices, logits: Logits) -> Indices:
    return tokens[np.isfinite(logits[tokens])]


def logits_view(context: Handle, row: int, size: int) -> Logits:
    """A row of a context's logits, where llama.cpp has them: valid until its next decode."""
    pointer = api.llama_get_logits_ith(context, row) if row >= 0 else None
    if not pointer:
        raise ValueError(f"row {row} has no logits")
    floats = (ctypes.c_float * size).from_address(ctypes.addressof(pointer.contents))
    return np.frombuffer(memoryview(floats), np.float32)
