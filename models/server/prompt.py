"""From messages or text to the tokens of a prompt, within the model's context."""

from dataclasses import dataclass
from typing import Protocol

from models.engine.healing import NO_SEAM, Seam, roll_back
from models.engine.prefix import common_prefix
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

    def piece(self, token: int) -> bytes:
        """The bytes of a token."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model reads.

    Attributes:
        tokens: at least one.
        seam: where the answer broke off that it ends with, if it does.
        answered: how many of the tokens belong to that answer.

    """

    tokens: list[int]
    seam: Seam = NO_SEAM
    answered: int = 0


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

    def chat(self, messages: list[dict[str, str]], delivered: str = "") -> Prompt:
        """A conversation, up to where the answer begins, or up to where it broke off.

        Args:
            messages: each with "role" (system, user, assistant, tool) and "content".
            delivered: what there is of the answer.

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
        return self._continued(tokens, delivered, "messages")

    def beginning(self, messages: list[dict[str, str]]) -> list[int]:
        """The tokens with which every conversation begins that begins with these messages; may be none.

        Templates put words around messages, and some refuse to render a system message alone. So two conversations
        are rendered that differ in what follows, and what they have in common is it.

        Raises:
            RequestError: too long, or refused by the template.

        """
        one, other = (self.chat([*messages, {"role": "user", "content": text}]).tokens for text in ("a", "b"))
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

    def _continued(self, tokens: list[int], delivered: str, param: str) -> Prompt:
        if not delivered:
            return Prompt(self._fitting(tokens, param))
        self._refuse_hopeless(len(delivered), param)
        answer = self._vocabulary.tokenize(delivered, add_special=False, parse_special=False)
        kept, owed = roll_back(tokens + answer, self._vocabulary.piece, len(answer))
        spelled = b"".join(map(self._vocabulary.piece, answer))
        # Without the space that some tokenizers put in front of every text.
        exact = spelled[-len(delivered.encode(errors="replace")) :]
        return Prompt(self._fitting(kept, param), Seam(exact, owed), max(len(kept) - len(tokens), 0))

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
