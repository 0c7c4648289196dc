"""Clients that hang up before the first content. One that does is its own business; most of them at once have a reason.

An upstream that has become slow, though not slow enough for a timeout, shows itself in nothing else: nobody's answer
has failed, only those who wait for it leave. Clients also leave because a user has pressed a button or a test has
ended, so this makes an upstream suspect and nothing more.
"""

from collections import deque
from typing import Final

_WAITS: Final = 10
_LEAST: Final = 5
_SECONDS: Final = 30.0
"""Of the last ten waits that ended within 30 s, at least five, and more than half, ended with the client hanging up."""


class Impatience:
    """The last waits of one (upstream, model). It is told the monotonic instant `now`.

    Waits that ended well are noted only as long as one that did not is among the last: for as long as clients are
    patient it holds nothing, and whoever asks it in the meantime need not.
    """

    __slots__ = ("_waits",)

    def __init__(self) -> None:
        self._waits: deque[tuple[float, bool]] = deque(maxlen=_WAITS)

    def __bool__(self) -> bool:
        """Whether somebody has left lately."""
        return bool(self._waits)

    def left(self, now: float) -> bool:
        """A client has left while it waited. Whether that makes it a surge."""
        self._waits.append((now, True))
        recent = [has_left for at, has_left in self._waits if now - at < _SECONDS]
        return sum(recent) >= _LEAST and sum(recent) * 2 > len(recent)

    def served(self, now: float) -> None:
        """A client has waited, and got what it waited for."""
        if self._waits:
            self._waits.append((now, False))
            if not any(has_left for _, has_left in self._waits):
                self._waits.clear()
