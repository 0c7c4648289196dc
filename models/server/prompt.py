"""From messages or text to the tokens of a prompt, within the model's context."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol, cast

from models.engine.healing import NO_SEAM, Seam, roll_back
from models.engine.prefix import common_prefix
from models.errors import RequestError
from models.server.literal import LiteralMarks
from models.server.messages import Tool, Turn, text_of, text_of_tools
from models.server.repair import without_thoughts
from models.server.shrink import shrunk
from models.server.template import ChatTemplate
from models.server.trial import ToolFormatName


class Vocabulary(Protocol):
    """What a prompt needs of the model; `models.engine.llama.Model` is the real one."""

    @property
    def vocabulary_size(self) -> int:
        """Token ids lie below it."""

    @property
    def longest_piece_bytes(self) -> int:
        """No token stands for more bytes of text."""

    @property
    def bos(self) -> int | None:
        """The token that begins a text."""

    @property
    def eos(self) -> int | None:
        """The token that ends a text."""

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Text to token ids."""

    def piece(self, token: int) -> bytes:
        """The bytes of a token."""


_TOO_LONG: Final = "context_length_exceeded"

_ANSWER_SHARE: Final = 4
"""An answer gets at most this part (one in so many) of the context, where a conversation has to be shortened for it."""

_SHRINKINGS: Final = 4
"""How often it is tried with less: templates add words of their own."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model reads.

    Attributes:
        tokens: at least one.
        seam: where the answer broke off that it ends with, if it does.
        answered: how many of the tokens belong to that answer.
        is_shrunk: whether something was left out to make it fit.

    """

    tokens: list[int]
    seam: Seam = NO_SEAM
    answered: int = 0
    is_shrunk: bool = False


class PromptEncoder:
    """Makes prompts that fit; all methods may run on any thread.

    Args:
        vocabulary: the model's.
        template: its chat template.
        marks: its control tokens.
        context_tokens: a prompt must leave room for one more token.

    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        template: ChatTemplate,
        marks: LiteralMarks,
        context_tokens: int,
    ) -> None:
        self._vocabulary = vocabulary
        self._template = template
        self._marks = marks
        self._context_tokens = context_tokens

    @property
    def tool_format(self) -> ToolFormatName:
        """How the model spells calls of tools."""
        return self._template.tool_format

    def chat(
        self,
        messages: list[Turn],
        delivered: str = "",
        tools: Sequence[Tool] | None = None,
        opening: str = "",
    ) -> Prompt:
        """A conversation, up to where the answer begins, or up to where it broke off.

        Args:
            messages: the turns; the answer goes on behind the last one if that is a prefix.
            delivered: what the client has of the answer, without that prefix.
            tools: that the model may call, or knows to have been called.
            opening: what stands before the answer beyond what the template prints. Ours: control tokens are made of it.

        Raises:
            RequestError: too long, or refused by the template.

        """
        self._refuse_hopeless(len(text_of_tools(tools)) + sum(len(text_of(turn)) for turn in messages), "messages")
        # A message is at least one token of template: this bounds the rendering of a million empty ones.
        if len(messages) >= self._context_tokens:
            raise self._too_long(f"at least {len(messages)}", "messages")
        prefix = messages[-1]["content"] if messages and "prefix" in messages[-1] else None
        turns = [self._protected(turn) for turn in (messages if prefix is None else messages[:-1])]
        rendered = self._template.render(turns, tools=[self._marks.protect_all(tool) for tool in tools or ()]) + opening
        tokens: list[int] = []
        for span in self._marks.split(rendered):
            tokens += self._spelled(span.text) if span.is_literal else self._special(span.text)
        return self._continued(tokens, delivered, "messages", prefix or "")

    def fitting_chat(
        self,
        messages: list[Turn],
        delivered: str,
        answer_tokens: int | None,
        tools: Sequence[Tool] | None = None,
        opening: str = "",
    ) -> Prompt:
        """The same, and what is too long is shortened: there will be room for the answer, or for a part of it.

        The tools stay as they are: a model that knows half of them calls what does not exist.

        Raises:
            RequestError: it cannot be made to fit, or the template refuses it.

        """
        most_for_answer = self._context_tokens // _ANSWER_SHARE
        room = self._context_tokens - min(answer_tokens or most_for_answer, most_for_answer)
        if (prompt := self._chat_within(room, messages, delivered, tools, opening)) is not None:
            return prompt
        wanted = room - self._count(delivered) - self._count(text_of_tools(tools))
        for _ in range(_SHRINKINGS):
            messages = shrunk(without_thoughts(messages), wanted, self._count)
            if (prompt := self._chat_within(room, messages, delivered, tools, opening)) is not None:
                return replace(prompt, is_shrunk=True)
            wanted -= wanted // _SHRINKINGS
        return replace(self.chat(messages, delivered, tools, opening), is_shrunk=True)

    def _chat_within(
        self, room: int, messages: list[Turn], delivered: str, tools: Sequence[Tool] | None, opening: str
    ) -> Prompt | None:
        """The prompt, None if it is too long. Raises RequestError for other reasons."""
        try:
            prompt = self.chat(messages, delivered, tools, opening)
        except RequestError as error:
            if error.code != _TOO_LONG:
                raise
            return None
        return prompt if len(prompt.tokens) <= room else None

    def _count(self, text: str) -> int:
        """How many tokens a text takes; of a very long one about."""
        most = self._context_tokens * self._vocabulary.longest_piece_bytes
        if len(text) > most:
            return len(text) * self._count(text[:most]) // most
        return len(self._vocabulary.tokenize(text, add_special=False, parse_special=False))

    def beginning(self, messages: list[Turn], tools: Sequence[Tool] | None = None) -> list[int]:
        """The tokens with which every conversation begins that begins with these messages; may be none.

        Templates put words around messages, and some refuse to render a system message alone. So two conversations
        are rendered that differ in what follows, and what they have in common is it.

        Raises:
            RequestError: too long, or refused by the template.

        """
        ends: list[Turn] = [{"role": "user", "content": text} for text in ("a", "b")]
        one, other = (self.chat([*messages, end], tools=tools).tokens for end in ends)
        return one[: common_prefix(one, other)]

    def text(self, text: str, delivered: str = "") -> Prompt:
        """A bare text. Control tokens are never made of it: give token ids to have them.

        Raises:
            RequestError: too long.

        """
        self._refuse_hopeless(len(text), "prompt")
        return self.tokens(self._vocabulary.tokenize(text, add_special=True, parse_special=False), delivered)

    def tokens(self, tokens: list[int], delivered: str = "") -> Prompt:
        """The client's own token ids, checked; an empty prompt becomes the model's beginning of text.

        Raises:
            RequestError: no such token, or too many.

        """
        if any(not 0 <= token < self._vocabulary.vocabulary_size for token in tokens):
            raise RequestError(f"token ids lie between 0 and {self._vocabulary.vocabulary_size - 1}", param="prompt")
        return self._continued(tokens or self._beginning(), delivered, "prompt")

    def _continued(self, tokens: list[int], delivered: str, param: str, prefix: str = "") -> Prompt:
        """Behind `prefix` and `delivered`, which are one text; only the latter is of this answer."""
        said = prefix + delivered
        if not said:
            return Prompt(self._fitting(tokens, param))
        self._refuse_hopeless(len(said), param)
        answer = self._vocabulary.tokenize(said, add_special=False, parse_special=False)
        kept, owed = roll_back(tokens + answer, self._vocabulary.piece, len(answer))
        spelled = b"".join(map(self._vocabulary.piece, answer))
        # Without the space that some tokenizers put in front of every text.
        exact = spelled[-len(said.encode(errors="replace")) :]
        asked = len(tokens) + (self._count(prefix) if prefix else 0)
        return Prompt(self._fitting(kept, param), Seam(exact, owed), max(len(kept) - asked, 0))

    def _special(self, text: str) -> list[int]:
        return self._vocabulary.tokenize(text, add_special=False, parse_special=True)

    def _spelled(self, text: str) -> list[int]:
        """The letters of a control token. Some, llama.cpp finds in any text: those it gets in two halves."""
        tokens = self._vocabulary.tokenize(text, add_special=False, parse_special=False)
        if len(tokens) > 1 or len(text) < 2:
            return tokens
        return [*self._spelled(text[:1]), *self._spelled(text[1:])]

    def _protected(self, turn: Turn) -> Turn:
        return cast("Turn", {**self._marks.protect_all(dict(turn)), "role": turn["role"]})

    def _beginning(self) -> list[int]:
        candidates = (self._vocabulary.bos, self._vocabulary.eos, 0)
        return [next(token for token in candidates if token is not None)]

    def _refuse_hopeless(self, characters: int, param: str) -> None:
        # Tokenising ten megabytes takes seconds. A character is at least one byte, a token at most so many.
        if characters > self._context_tokens * self._vocabulary.longest_piece_bytes:
            raise self._too_long(f"at least {characters // self._vocabulary.longest_piece_bytes}", param)

    def _fitting(self, tokens: list[int], param: str) -> list[int]:
        if len(tokens) >= self._context_tokens:
            raise self._too_long(str(len(tokens)), param)
        return tokens

    def _too_long(self, amount: str, param: str) -> RequestError:
        return RequestError(
            f"This model's maximum context length is {self._context_tokens} tokens. However, your {param} resulted in "
            f"{amount} tokens. Please reduce the length of the {param}.",
            param=param,
            code=_TOO_LONG,
        )
