"""Keep the spelling of control tokens in a client's text from becoming control tokens.

A chat template is text, and the tokenizer turns `<|im_end|>` in that text into the token that ends a turn. The same
letters in a message must stay letters, or a client could forge turns. The template may rearrange, trim or quote message
contents, so their place in its output is not known. Hence: before rendering, each such spelling in a message is
replaced by a mark (private-use characters around its number); after rendering, the text is split at the marks.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar, cast

_ValueT = TypeVar("_ValueT")

_OPEN = "\ue000"
_CLOSE = "\ue001"
_MARK = re.compile(f"{_OPEN}([0-9]+){_CLOSE}")


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a rendered prompt; `is_literal` if it is a client's spelling of a control token."""

    text: str
    is_literal: bool


class LiteralMarks:
    """Marks for one vocabulary.

    Args:
        control_texts: the spellings of all control tokens.

    """

    def __init__(self, control_texts: tuple[str, ...]) -> None:
        # The marks' own characters are spellings too: a client's text that contains them cannot forge a mark.
        self._spellings = (*sorted(set(control_texts), key=len, reverse=True), _OPEN, _CLOSE)
        self._numbers = {text: number for number, text in enumerate(self._spellings)}
        self._pattern = re.compile("|".join(map(re.escape, self._spellings)))

    def protect(self, text: str) -> str:
        """Replace each spelling by its mark."""
        return self._pattern.sub(lambda match: f"{_OPEN}{self._numbers[match[0]]}{_CLOSE}", text)

    def protect_all(self, value: _ValueT) -> _ValueT:
        """The same for all texts in a value of JSON, names of fields included."""
        return cast("_ValueT", self._protected(value))

    def _protected(self, value: object) -> object:
        if isinstance(value, str):
            return self.protect(value)
        if isinstance(value, dict):
            return {self.protect(key): self._protected(item) for key, item in value.items()}
        return [self._protected(item) for item in value] if isinstance(value, list) else value

    def split(self, rendered: str) -> Iterator[Span]:
        """The rendered text with its marks turned back into spellings, in order."""
        # re.split with one group alternates: text, number, text, number, … text.
        for index, part in enumerate(_MARK.split(rendered)):
            if index % 2:
                yield Span(self._spellings[int(part)], is_literal=True)
            elif part:
                yield Span(part, is_literal=False)
