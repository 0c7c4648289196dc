"""From token bytes to text that may be sent: whole characters, and never the beginning of a stop string."""

import codecs
from collections.abc import Iterable


class StopFilter:
    """Cut a growing text before the stop string that is completed first.

    Of two stop strings that are completed by the same character the longer one counts. Text that may turn out to be
    the beginning of a stop string is held back until that is decided, so what was let out is never taken back, and how
    the text was cut into parts makes no difference.

    Args:
        stops: none is empty.
        sent: what of the text is out already, or the end of it. A stop string may begin in there.

    """

    def __init__(self, stops: tuple[str, ...], sent: str = "") -> None:
        self._stops = stops
        self._sent = _undecided(sent, stops)
        self._held = sent[len(sent) - self._sent :]
        self.is_stopped = False

    @property
    def held(self) -> int:
        """How many characters are held back."""
        return len(self._held) - self._sent

    def feed(self, text: str) -> str:
        """Take more text; returns what may be sent. After a stop there is nothing more."""
        if self.is_stopped:
            return ""
        self._held += text
        cut = _first_stop(self._held, self._stops)
        self.is_stopped = cut is not None
        keep = 0 if self.is_stopped else _undecided(self._held, self._stops)
        out = self._held[:cut] if cut is not None else self._held[: len(self._held) - keep]
        self._held = self._held[len(self._held) - keep :]
        return self._new(out)

    def flush(self) -> str:
        """The text ends here: what was held back is no stop string after all."""
        held, self._held = self._held, ""
        return self._new(held)

    def _new(self, out: str) -> str:
        """Without what was out before."""
        sent = min(self._sent, len(out))
        self._sent -= sent
        return out[sent:]


class Assembler:
    """One sequence's way from token bytes to text.

    A token may hold a part of a character (a flag is six tokens of SmolLM2). Bytes that cannot become UTF-8 turn into
    U+FFFD; a character left unfinished by the last token is dropped. Arguments are those of StopFilter.
    """

    def __init__(self, stops: tuple[str, ...], sent: str = "") -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._filter = StopFilter(stops, sent)

    @property
    def is_stopped(self) -> bool:
        """Whether a stop string has appeared."""
        return self._filter.is_stopped

    @property
    def held(self) -> int:
        """How many characters are held back; one that is not complete yet counts."""
        pending, _ = self._decoder.getstate()
        return self._filter.held + bool(pending)

    def feed(self, piece: bytes) -> str:
        """Take one token's bytes; returns what may be sent, often nothing."""
        return self._filter.feed(self._decoder.decode(piece))

    def flush(self) -> str:
        """What was held back, when the sequence ends without a stop string."""
        return self._filter.flush()


def _first_stop(text: str, stops: Iterable[str]) -> int | None:
    found = [(start + len(stop), start) for stop in stops if (start := text.find(stop)) >= 0]
    return min(found)[1] if found else None


def _undecided(text: str, stops: Iterable[str]) -> int:
    """Length of the longest end of `text` that is a proper beginning of a stop string."""
    return max((_overlap(text, stop) for stop in stops), default=0)


def _overlap(text: str, stop: str) -> int:
    longest = min(len(text), len(stop) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(stop[:size])), 0)
