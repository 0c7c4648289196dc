"""A vocabulary sorted by spelling: which tokens can stand at a seam, and which say nothing."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence

import numpy as np

from models.engine.drawing import Indices, Mask


class PieceIndex:
    """What a vocabulary's tokens spell.

    Args:
        pieces: of all tokens, by id; empty for control tokens.
        end_tokens: those that end a sequence, whatever they spell.

    Attributes:
        mute: by id, whether a token adds nothing to the text and does not end it either. Shape (vocabulary,).

    """

    def __init__(self, pieces: Sequence[bytes], end_tokens: Collection[int]) -> None:
        spelling = [token for token, piece in enumerate(pieces) if piece and token not in end_tokens]
        spelling.sort(key=pieces.__getitem__)
        self._tokens = np.array(spelling, np.intp)
        self._pieces = [pieces[token] for token in spelling]
        self._longest = max(map(len, self._pieces), default=0)
        self.mute: Mask = np.array(
            [not piece and token not in end_tokens for token, piece in enumerate(pieces)], np.bool_
        )

    def leading_to(self, owed: bytes) -> Indices:
        """Tokens that begin with these bytes, or spell the beginning of them; all different, in no order.

        Args:
            owed: not empty.

        """
        spans = [self._starting_with(owed)]
        spans += [self._spelling(owed[:size]) for size in range(1, min(len(owed), self._longest + 1))]
        return np.concatenate([self._tokens[span] for span in spans])

    def spell(self, text: bytes) -> list[int] | None:
        """Tokens that spell a text, mostly fewer than a tokenizer makes of it; None if there are none for a byte of it.

        That is rare: vocabularies have a token for each byte that is common in UTF-8.
        """
        tokens, at = [], 0
        while at < len(text):
            place = self._longest_in(text[at : at + self._longest])
            if place is None:
                return None
            tokens.append(int(self._tokens[place]))
            at += len(self._pieces[place])
        return tokens

    def _longest_in(self, head: bytes) -> int | None:
        """Where the longest piece stands that `head` begins with.

        It sorts before the head. Of all pieces that do, the last either is it, or shares more with the head than it is
        long; so the head may be cut to the length of that one.
        """
        while head:
            place = bisect_right(self._pieces, head) - 1
            before = self._pieces[place] if place >= 0 else b""
            if before and head.startswith(before):
                return place
            head = head[: min(len(head) - 1, len(before))]
        return None

    def _starting_with(self, prefix: bytes) -> slice:
        def head(piece: bytes) -> bytes:
            return piece[: len(prefix)]

        return slice(bisect_left(self._pieces, prefix), bisect_right(self._pieces, prefix, key=head))

    def _spelling(self, piece: bytes) -> slice:
        return slice(bisect_left(self._pieces, piece), bisect_right(self._pieces, piece))
