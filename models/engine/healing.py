"""The seam between text that was delivered already and the text to come.

A text that breaks off anywhere rarely does so where the model would have ended a token: after "Hello wor" it has learnt
to expect nothing, because " world" is one token. So the word that was begun is taken back, and what is drawn instead
has to begin with its bytes; only what goes beyond them is new::

    delivered      Hello wor
    tokens         Hello| w|or        the last word is rolled back
    owed                | wor
    drawn               | world       begins with what is owed
    emitted                  ld

A grammar begins behind what is kept of the answer, "Hello" here, so that it rules the last word too when that is drawn
anew: the joined text follows it from its first byte to its last.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_CONTINUATION_MASK: Final = 0b1100_0000
_CONTINUATION: Final = 0b1000_0000

_MOST_TOKENS: Final = 4


def roll_back(tokens: list[int], piece: Callable[[int], bytes], delivered: int) -> tuple[list[int], bytes]:
    """Plan the seam.

    Takes back the word that was begun, or at least the last token. A word is where tokenizers cut first, so no token of
    the model's reaches across its beginning. Scripts without spaces have long words: of those the last few tokens are
    taken back, and more only while that would split a character.

    Args:
        tokens: a prompt that ends inside an answer.
        piece: a token's bytes.
        delivered: how many tokens at the end are the answer's; those of the template before are never taken back.

    Returns:
        The tokens to read, and the bytes that the text to come has to begin with.

    """
    kept, first, owed = len(tokens), len(tokens) - delivered, b""
    while kept > first and not (owed and _is_seam(owed, len(tokens) - kept)):
        kept -= 1
        owed = piece(tokens[kept]) + owed
    return tokens[:kept], owed


@dataclass(frozen=True, slots=True)
class Seam:
    """Where an answer broke off.

    Attributes:
        delivered: the answer so far.
        owed: its end, which the text to come has to begin with. Longer than the answer if the tokenizer puts a space in
            front of every text and all of the answer was taken back.

    """

    delivered: bytes = b""
    owed: bytes = b""

    @property
    def kept(self) -> bytes:
        """What of the answer stays in the prompt."""
        return self.delivered[: max(0, len(self.delivered) - len(self.owed))]

    @property
    def due(self) -> bytes:
        """What is owed of the answer alone: the tokenizer's own space is nothing that a grammar knows of."""
        return self.delivered[len(self.kept) :]


NO_SEAM: Final = Seam()


class Healing:
    """Follows the pieces that are drawn until they have spelled what is owed.

    Its state depends on the pieces alone: whoever feeds the same pieces is at the same place.

    Attributes:
        owed: what the pieces to come have to begin with; empty once the seam is healed.

    """

    def __init__(self, owed: bytes) -> None:
        self.owed = owed

    def feed(self, piece: bytes) -> bytes:
        """Take a piece; returns what of it is new.

        A piece that contradicts what is owed ends the healing and is new altogether: better a seam that shows than no
        answer.
        """
        if self.owed.startswith(piece):
            self.owed = self.owed[len(piece) :]
            return b""
        owed, self.owed = self.owed, b""
        return piece.removeprefix(owed)


def _is_seam(owed: bytes, tokens: int) -> bool:
    """Whether a text may be cut before `owed`, which is so many tokens."""
    if owed[0] & _CONTINUATION_MASK == _CONTINUATION:
        return False
    return tokens >= _MOST_TOKENS or owed[:1].isspace()
