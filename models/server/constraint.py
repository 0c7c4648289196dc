"""From what a request asks for (a grammar, a form, tools) to the grammar that its answer follows, ready and checked."""

import hashlib
from collections.abc import Callable
from typing import Final

import msgspec

from models.errors import DeliveredTextUnfit, GrammarInvalid, SchemaInvalid
from models.server.grammars import Wish, chat_grammar
from models.server.recent import Recent
from models.tools.format import ToolFormat

_KEPT: Final = 64
"""Applications have few schemas, and ask for each of them often."""

Check = Callable[[str, bytes], None]
"""Of a grammar and of what was delivered of an answer; raises GrammarInvalid and DeliveredTextUnfit."""


class Constraints:
    """Grammars for answers, made once for each distinct form or set of tools. For several threads; all takes a while.

    Args:
        check: see `Check`.
        form: how the model spells calls.
        takes_grammars: whether clients may bring their own.

    """

    def __init__(self, check: Check, form: ToolFormat, *, takes_grammars: bool) -> None:
        self.form = form
        self._check = check
        self._takes_grammars = takes_grammars
        self._recent: Recent[str] = Recent(_KEPT)

    def own(self, grammar: str, said: bytes) -> str:
        """A client's own grammar, checked with what there is of the answer; "" for none.

        Raises:
            RequestError: it is not taken, invalid, or the answer does not follow it.

        """
        if grammar and not self._takes_grammars:
            raise GrammarInvalid("is not taken from clients: start the model server with --allow-grammars")
        if grammar:
            self._check(grammar, said)
        return grammar

    def constrain(self, wish: Wish, delivered: bytes) -> str:
        """Make the grammar of one answer, from its beginning; "" where the answer is free.

        What there is of it may be another model's, which knew the schema but not our order of keys. Then whatever was
        not promised to be strict is left out of account.

        Args:
            wish: what the answer has to be.
            delivered: how it begins.

        Raises:
            RequestError: a schema cannot be kept, or what there is of the answer does not follow it.

        """
        if wish.is_free:
            return ""
        grammar = self._strictest(wish)
        if not delivered:
            return grammar
        try:
            self._check(grammar, delivered)
        except DeliveredTextUnfit:
            grammar = self._made(wish, is_loose=True)
            self._check(grammar, delivered)
        return grammar

    def _strictest(self, wish: Wish) -> str:
        """All schemas, or those that are strict where all of the functions' together are too much for one grammar."""
        try:
            return self._made(wish, is_loose=False)
        except (SchemaInvalid, GrammarInvalid):
            if wish.offer is None:
                raise
            return self._made(wish, is_loose=True)

    def _made(self, wish: Wish, *, is_loose: bool) -> str:
        def checked() -> str:
            grammar = chat_grammar(wish, self.form, is_loose=is_loose)
            self._check(grammar, b"")
            return grammar

        key = msgspec.json.encode([wish.rules, is_loose])
        return self._recent.get(hashlib.blake2b(key).digest(), checked)
