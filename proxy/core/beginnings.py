"""Which beginnings of conversations come again and again, and which of them the model server has not read yet.

The Space-Saving algorithm (Metwally, Agrawal, El Abbadi, "Efficient computation of frequent and top-k elements in data
streams", 2005): a fixed number of counters; a newcomer takes the place of the smallest, and inherits its count as an
error that it may have. Whatever comes more often than one time in `counters` is found, whatever else comes between.

Counts are halved now and then, so that what was frequent last week makes place for what is frequent today.
"""

from dataclasses import dataclass, field
from typing import Final

COUNTERS: Final = 32
"""An application has a handful of system prompts; a request out of 32 is worth preparing for."""

DECAY_SAMPLES: Final = 1024
"""Samples are taken once a second at most: under steady traffic a count halves in 17 minutes."""

WORTH_TIMES: Final = 3
"""Twice may be a coincidence, or a client that retries."""

MOST: Final = 8
"""Beginnings that are kept read. Each takes a place from the prompts that were answered last."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """How conversations of a client begin.

    Attributes:
        client: whose they are; what one client says is never read for another.
        prompt: the leading system and developer messages and the tools, as the fields of a chat request in JSON. It
            is prompt text, and not for logs.

    """

    client: str
    prompt: bytes = field(repr=False)


@dataclass(slots=True)
class _Counter:
    count: int
    error: int
    is_told: bool = False

    @property
    def surely(self) -> int:
        """It came at least so often."""
        return self.count - self.error


class Beginnings:
    """`note` each sample; ask `untold` what to have read, and say `told` when it was."""

    def __init__(self) -> None:
        self._counters: dict[Beginning, _Counter] = {}
        self._samples = 0

    def note(self, beginning: Beginning) -> None:
        """It came once more."""
        counter = self._counters.get(beginning)
        if counter is None:
            self._counters[beginning] = self._new_counter()
        else:
            counter.count += 1
        self._samples += 1
        if self._samples % DECAY_SAMPLES == 0:
            self._decay()

    def _new_counter(self) -> _Counter:
        if len(self._counters) < COUNTERS:
            return _Counter(1, 0)
        smallest = min(self._counters, key=lambda known: self._counters[known].count)
        error = self._counters.pop(smallest).count
        return _Counter(error + 1, error)

    def _decay(self) -> None:
        for counter in self._counters.values():
            counter.count //= 2
            counter.error = (counter.error + 1) // 2  # rounded up: what is sure stays sure

    def untold(self) -> list[Beginning]:
        """Of the most frequent ones those that are worth it and that the model server does not know, in that order."""
        worthy = [known for known, counter in self._counters.items() if counter.surely >= WORTH_TIMES]
        worthy.sort(key=lambda known: self._counters[known].surely, reverse=True)
        return [known for known in worthy[:MOST] if not self._counters[known].is_told]

    def told(self, beginning: Beginning) -> None:
        """The model server has it."""
        if counter := self._counters.get(beginning):
            counter.is_told = True

    def forget_told(self) -> None:
        """The model server is another one, which knows nothing."""
        for counter in self._counters.values():
            counter.is_told = False
