"""Which tokens have been told: scores go out with the text that they belong to, not when they are drawn.

Text is held back where it may become a stop string or is a part of a character, and a stop string takes back what was
held. A token is told as soon as all of its text is out::

    tokens     one| E|ND|            stop string " END"
    text       one                   the second and the third are never told
"""

from collections import deque

from models.engine.event import TokenScore


class Tally:
    """One sequence's scores that wait for their text."""

    def __init__(self) -> None:
        self._released = 0
        """Characters that are out."""
        self._waiting: deque[tuple[int, TokenScore]] = deque()
        """Each with the number of characters after which it is out."""

    def release(self, text: str, drawn: TokenScore | None = None, held: int = 0) -> tuple[TokenScore, ...]:
        """Take what happened after a draw; returns the scores that are told by now.

        Args:
            text: what is let out.
            drawn: the token's score; None if nothing of it can be told any more.
            held: how many characters are held back behind it, the token's own included.

        """
        self._released += len(text)
        if drawn is not None:
            self._waiting.append((self._released + held, drawn))
        told = []
        while self._waiting and self._waiting[0][0] <= self._released:
            told.append(self._waiting.popleft()[1])
        return tuple(told)
