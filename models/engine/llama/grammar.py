"""A grammar that a sequence's tokens have to follow, and where in it the sequence stands."""

import ctypes
from typing import Final

import numpy as np

from models.engine.drawing import Indices, Mask
from models.engine.gbnf import check_cost
from models.engine.llama.model import Model
from models.engine.llama.native import Handle, api
from models.errors import DeliveredTextUnfit, GrammarInvalid

_ROOT: Final = b"root"
# llama_token_data, so that llama.cpp writes into our own array.
_CANDIDATE: Final = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


def check_grammar(model: Model, text: str, delivered: bytes = b"") -> None:
    """Make sure that an answer can follow a grammar. For the client's thread, so that the engine's need not fail.

    Args:
        model: that answers.
        text: of the grammar.
        delivered: what there is of the answer.

    Raises:
        GrammarInvalid: it costs too much, does not parse, or has no rule `root`.
        DeliveredTextUnfit: what was delivered does not follow it.

    """
    check_cost(text)
    if not model.end_tokens:
        raise GrammarInvalid("cannot end: this model has no token that says so")
    grammar_behind(model, text, delivered).close()


def grammar_behind(model: Model, text: str, delivered: bytes) -> "Grammar":
    """A grammar that a text has been led through already: 15 ms for each kilobyte of JSON.

    Raises:
        GrammarInvalid: it does not parse.
        DeliveredTextUnfit: the text does not follow it.

    """
    grammar = Grammar(model, text)
    if not grammar.advance(delivered):
        grammar.close()
        raise DeliveredTextUnfit
    return grammar


class Grammar:
    """Where one sequence stands in its grammar.

    llama.cpp looks up the spelling of each candidate and follows it through the rules, which takes 0.2 to 0.5 us for
    each, 10 to 25 ms for a vocabulary of 49,152: ask about few.

    Args:
        model: whose tokens they are.
        text: GBNF; what `check_grammar` lets pass. The first rule is `root`.

    Raises:
        GrammarInvalid: it does not parse.

    """

    def __init__(self, model: Model, text: str) -> None:
        self._pieces = model.piece_index
        self._handle = _compile(model, text)

    def permits(self, tokens: Indices) -> Mask:
        """Which of these tokens may come next; an end token where the grammar may end.

        llama.cpp reads a control token as the text it is spelled by, and would take "<|im_start|>" in a string. In our
        answers it is nothing, so it is not permitted.
        """
        candidates = np.zeros(tokens.size, _CANDIDATE)
        candidates["id"] = tokens
        data = ctypes.cast(candidates.ctypes.data, ctypes.POINTER(api.llama_token_data))
        array = api.llama_token_data_array(data=data, size=tokens.size, selected=-1, sorted=False)
        api.llama_sampler_apply(self._handle, ctypes.byref(array))
        forbidden: Mask = (candidates["logit"] != 0.0) | self._pieces.mute[tokens]
        return ~forbidden

    def accept(self, token: int) -> bool:
        """Move on by a token if it is permitted; else stay, and return False."""
        if not self.permits(np.array([token]))[0]:  # aborts
            return False
        api.llama_sampler_accept(self._handle, token)
        return True

    def advance(self, text: bytes) -> bool:
        """Move on by a text, however it is cut into tokens; False if it is refused somewhere, and then stay there."""
        tokens = self._pieces.spell(text)
        return tokens is not None and all(map(self.accept, tokens))

    def close(self) -> None:
        """Free it."""
        api.llama_sampler_free(self._handle)


def _compile(model: Model, text: str) -> Handle:
    try:
        source = text.encode()
    except UnicodeEncodeError as error:
        raise GrammarInvalid("contains half of a surrogate pair") from error
    handle = api.llama_sampler_init_grammar(api.llama_model_get_vocab(model.handle), source, _ROOT)
    if not handle:  # a null pointer, not None
        raise GrammarInvalid("does not parse, has no rule named root, or begins a rule with itself")
    return handle
