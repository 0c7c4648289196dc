"""One answer between the engine and the wire: which of its text is thought, which is said, and which calls tools."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from models.engine.event import Ended, Finish, Piece, TokenScore
from models.server.offer import Offer
from models.server.thinking import Spoken, Thought, ThoughtReader
from models.tools.parser import CallParser
from models.tools.told import Arguments, CallBegun, Told, Words


@dataclass(frozen=True, slots=True)
class Said:
    """More words, and how likely their tokens were where that was asked for."""

    text: str
    tokens: tuple[TokenScore, ...] = ()


@dataclass(frozen=True, slots=True)
class Reasoned:
    """More of what the model thinks before it answers."""

    text: str


@dataclass(frozen=True, slots=True)
class Recast:
    """All that was told as thoughts is told again, as what it turned out to be."""


Part: TypeAlias = Said | Reasoned | Recast | CallBegun | Arguments


class Answer:
    """Reads one answer as it grows: thoughts first, then words, then calls.

    Args:
        parser: finds calls; None where there can be none.
        offer: of the tools; None likewise.
        ahead: the beginning of the answer, which is not generated because there is only one.
        thoughts: finds thoughts; None where there can be none.

    """

    def __init__(
        self,
        parser: CallParser | None = None,
        offer: Offer | None = None,
        ahead: str = "",
        thoughts: ThoughtReader | None = None,
    ) -> None:
        self._parser = parser
        self._offer = offer
        self._ahead = ahead
        self._thoughts = thoughts
        self._tokens: tuple[TokenScore, ...] = ()
        self._thought_tokens = 0
        self._is_recast = False

    def begin(self) -> list[Part]:
        """What is known before anything is generated."""
        return list(self._words(self._ahead)) if self._ahead else []

    def take(self, piece: Piece) -> list[Part]:
        """What a piece adds; nothing where that is not clear yet."""
        self._tokens += piece.tokens
        if self._thoughts is None:
            return list(self._words(piece.text))
        parts = list(self._parts(self._thoughts.feed(piece.text)))
        if self._thoughts.is_thinking:
            self._thought_tokens = piece.drawn
        return parts

    def end(self, finish: Finish) -> list[Part]:
        """What was held back.

        Thoughts that have no end are the answer, unless its limit cut them: models that skip thinking answer at once
        where their prompt has opened the thoughts, and a client that looks for words would find nothing.
        """
        unclosed = self._thoughts.unclosed if self._thoughts and finish is Finish.STOP else ""
        parts = list(self._parts(self._thoughts.flush())) if self._thoughts else []
        if unclosed:
            self._is_recast = True
            parts += [Recast(), *self._words(unclosed)]
        return parts + [self._part(told) for told in self._parser.flush()] if self._parser else parts

    def thought_tokens(self, ended: Ended) -> int:
        """How many tokens of the answer were thoughts, the marks around them included.

        A token that ends the thoughts and begins the words is one of the words.
        """
        if self._is_recast:
            return 0
        is_thinking = self._thoughts is not None and self._thoughts.is_thinking
        return ended.completion_tokens if is_thinking else self._thought_tokens

    def reason(self, finish: Finish) -> str:
        """OpenAI's word for how it ended."""
        if finish is Finish.STOP and self._offer and self._parser and self._parser.has_calls:
            return self._offer.finish
        return finish

    def _parts(self, parts: Iterable[Thought | Spoken]) -> Iterator[Part]:
        for part in parts:
            if isinstance(part, Thought):
                self._tokens = ()
                yield Reasoned(part.text)
            else:
                yield from self._words(part.text)

    def _words(self, text: str) -> Iterator[Part]:
        told = [Words(text)] if self._parser is None else self._parser.feed(text)
        return map(self._part, told)

    def _part(self, told: Told) -> Part:
        """OpenAI tells likelihoods of words only: those of the tokens of thoughts and calls are dropped."""
        tokens, self._tokens = self._tokens, ()
        return Said(told.text, tokens) if isinstance(told, Words) else told
