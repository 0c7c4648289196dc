"""From messages or text to the tokens of a prompt, within the model's context."""

from typing import Protocol

from models.errors import RequestError
from models.server.literal import LiteralMarks
from models.server.template import ChatTemplate


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

    def chat(self, messages: list[dict[str, str]]) -> list[int]:
        """Tokens of a conversation, up to where the answer begins.

        Args:
            messages: each with "role" (system, user, assistant, tool) and "content".

        Raises:
            RequestError: too long, or refused by the template.

        """
        self._refuse_hopeless(sum(len(message["content"]) for message in messages), "messages")
        # A message is at least one token of template: this bounds the rendering of a million empty ones.
        if len(messages) >= self._context_tokens:
            raise self._too_long(f"at least {len(messages)}", "messages")
        rendered = self._template.render([self._protected(message) for message in messages])
        tokens: list[int] = []
        for span in self._marks.split(rendered):
            tokens += self._vocabulary.tokenize(span.text, add_special=False, parse_special=not span.is_literal)
        return self._fitting(tokens, "messages")

    def text(self, text: str) -> list[int]:
        """Tokens of a bare text. Control tokens are never made of it: give token ids to have them.

        Raises:
            RequestError: too long.

        """
        self._refuse_hopeless(len(text), "prompt")
        return self.tokens(self._vocabulary.tokenize(text, add_special=True, parse_special=False))

    def tokens(self, tokens: list[int]) -> list[int]:
        """The client's own token ids, checked; an empty prompt becomes the model's beginning of text.

        Raises:
            RequestError: no such token, or too many.

        """
        if any(not 0 <= token < self._vocabulary.vocabulary_size for token in tokens):
            raise RequestError(f"token ids lie between 0 and {self._vocabulary.vocabulary_size - 1}", param="prompt")
        return self._fitting(tokens or self._beginning(), "prompt")

    def _protected(self, message: dict[str, str]) -> dict[str, str]:
        role = "user" if message["role"] == "tool" and not self._template.knows_tools else message["role"]
        return {"role": role, "content": self._marks.protect(message["content"])}

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
            code="context_length_exceeded",
        )
