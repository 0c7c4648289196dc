"""What a grammar's text may cost llama.cpp, seen before it is parsed there.

llama.cpp parses by recursion and writes repetitions out: a few kilobytes of text can exhaust the stack or the memory,
and with it the process. The limits stand far above what JSON schemas become (nesting 5, some hundred repetitions).

What is not seen is ambiguity: llama.cpp follows all readings of a text at once, and needs four times as long with each
letter for `root ::= "a" root "b" | "a" root "c"`. Grammars made from schemas read in one way; those that clients write
may not, and only the limit on the time of one step ends them.
"""

import re
from collections.abc import Iterator
from typing import Final

from models.errors import GrammarInvalid

# The JSON schemas that OpenAI accepts come to 400 KB; llama.cpp parses that in 25 ms.
MAX_BYTES: Final = 512 * 1024
# The parser takes about half a kilobyte of stack for each open parenthesis.
MAX_NESTING: Final = 200
# Elements that repetitions are written out to; each takes up to 300 bytes.
MAX_REPEATED: Final = 20_000

_WORD: Final = re.compile(
    r"""(?P<literal> "(?:\\.|[^"\\])*"? | \[(?:\\.|[^\]\\])*\]? )
      | (?P<repeat> \{[^}]*\}? )
      | (?P<paren> [()] )
      | (?P<comment> \#[^\n]* )
      | (?P<other> [^\s"\[{}()\#]+ )""",
    re.VERBOSE | re.DOTALL,
)
_DIGITS: Final = re.compile(r"[0-9]+")


def check_cost(text: str) -> None:
    """Refuse what may take llama.cpp down.

    Raises:
        GrammarInvalid: it is too long, nests too deeply, or repeats too much.

    """
    # Characters first: that is cheap, and no text has fewer bytes.
    if len(text) > MAX_BYTES or len(text.encode(errors="replace")) > MAX_BYTES:
        raise GrammarInvalid(f"is longer than {MAX_BYTES} bytes")
    if "\0" in text:
        raise GrammarInvalid("contains a NUL character")
    if max(_nesting(text), default=0) > MAX_NESTING:
        raise GrammarInvalid(f"nests more than {MAX_NESTING} parentheses")
    if sum(_repeated(text)) > MAX_REPEATED:
        raise GrammarInvalid(f"repeats more than {MAX_REPEATED} elements")


def _nesting(text: str) -> Iterator[int]:
    depth = 0
    for word in _WORD.finditer(text):
        if word.lastgroup == "paren":
            depth += 1 if word[0] == "(" else -1
            yield depth


def _repeated(text: str) -> Iterator[int]:
    """How many elements each repetition is written out to: a literal is one for each of its characters."""
    elements = 1
    for word in _WORD.finditer(text):
        if word.lastgroup == "repeat":
            yield elements * _times(word[0])
        elif word.lastgroup != "comment":
            elements = max(1, len(word[0]) - 2) if word.lastgroup == "literal" else 1


def _times(repeat: str) -> int:
    # Seven digits are too many in any case, and thousands of them too many for int().
    return max((int(digits[:7]) for digits in _DIGITS.findall(repeat)), default=0)
