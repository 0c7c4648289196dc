"""Answers in OpenAI's harmony format, which gpt-oss speaks: one message after the other, each in a channel. Pure.

::

    <|channel|>analysis<|message|>THOUGHTS<|end|><|start|>assistant<|channel|>final<|message|>WORDS

The first message goes without `<|start|>assistant`, which the prompt ends in; the last one ends with a token that ends
the answer. In the channel `commentary` stand words before calls, and the calls themselves, whose head names a recipient
(`to=functions.NAME`). Tools are described to these models in another spelling, whose calls a grammar can rule; a call
that one makes in its own all the same is told in words, as JSON.
"""

import json
import re
from collections.abc import Iterator
from typing import Final

from models.server.thinking import Spoken, Thought
from models.tools.marker import settled

RECIPIENT: Final = " to=functions."
"""In the head of a call, before the function's name."""

SIGN: Final = "<|channel|>analysis"
"""Stands in the templates of models that speak so."""

FINAL: Final = "<|channel|>final<|message|>"
"""Begins an answer that has no thoughts."""

_START: Final = "<|start|>"
_CHANNEL: Final = "<|channel|>"
_MESSAGE: Final = "<|message|>"
_END: Final = "<|end|>"

MARKS_TEXT: Final = f"{_START}{_CHANNEL}<|constrain|>{_MESSAGE}{_END}"
"""All marks that can stand within an answer."""

_BEGINNINGS: Final = (_START, _CHANNEL, " to=")
_LONGEST_HEAD: Final = 256
"""In characters: a function's name has 64 at most."""

_RECIPIENT: Final = re.compile(r" to=(?:functions\.)?([\w.-]+)")
_THOUGHTS: Final = re.compile(r"<\|channel\|>analysis\b")
_GAP: Final = "\n\n"


class Channels:
    """A `ThoughtReader` for harmony. Of several messages of thoughts, or of words, one text is made."""

    def __init__(self) -> None:
        self._held = ""
        self._is_head = True
        self._is_thinking = False
        self._thought = ""
        self._has_words = False
        self._tail = ""
        """Of a call: what its words end with."""

    @property
    def is_thinking(self) -> bool:
        """Whether the text ends in thoughts, or in what parts them from the words."""
        return self._is_thinking

    @property
    def unclosed(self) -> str:
        """All that was thought, if nothing but thoughts has come, and they have no end; else ""."""
        is_open = self._is_thinking and not self._is_head and not self._has_words
        return self._thought + self._held if is_open else ""

    def feed(self, text: str) -> list[Thought | Spoken]:
        """Take more text; returns what it makes clear."""
        self._held += text
        return list(self._parts())

    def flush(self) -> list[Thought | Spoken]:
        """The answer ends here: what was held back is what it looks like; half a head is nothing."""
        held, self._held = self._held, ""
        if self._is_head and (self._thought or self._has_words or held.startswith("<|")):
            return []
        tail, self._tail = self._tail, ""
        return list(self._told(held + tail))

    def _parts(self) -> Iterator[Thought | Spoken]:
        """Each round takes something from what is held."""
        while self._held:
            before = self._is_head, len(self._held)
            yield from self._head() if self._is_head else self._body()
            if before == (self._is_head, len(self._held)):
                return

    def _head(self) -> Iterator[Thought | Spoken]:
        head, found, rest = self._held.partition(_MESSAGE)
        if not self._can_be_head():
            yield from self._begin("")
        elif found:
            self._held = rest
            yield from self._begin(head)

    def _can_be_head(self) -> bool:
        held = self._held
        is_begun = any(held.startswith(text[: len(held)]) for text in _BEGINNINGS)
        return is_begun and (len(held) < _LONGEST_HEAD or held.find(_MESSAGE, 0, _LONGEST_HEAD) >= 0)

    def _begin(self, head: str) -> Iterator[Thought | Spoken]:
        recipient = _RECIPIENT.search(head)
        self._is_head = False
        self._is_thinking = recipient is None and _THOUGHTS.search(head) is not None
        if self._thought if self._is_thinking else self._has_words:
            yield from self._told(_GAP)
        if recipient is not None:
            self._tail = "}"
            yield from self._told(f'{{"name": {json.dumps(recipient[1])}, "arguments": ')

    def _body(self) -> Iterator[Thought | Spoken]:
        body, end, rest = self._held.partition(_END)
        if end:
            body, self._held, self._is_head = body + self._tail, rest, True
            self._tail = ""
        else:
            size = settled(body, _END)
            body, self._held = body[:size], body[size:]
        yield from self._told(body)

    def _told(self, text: str) -> Iterator[Thought | Spoken]:
        if not text:
            return
        if self._is_thinking:
            self._thought += text
            yield Thought(text)
        else:
            self._has_words = True
            yield Spoken(text)
