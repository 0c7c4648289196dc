"""Who runs next, and what the next step reads. Pure: no clock, no thread, no model.

Waiting sequences form one line for each client, and clients take turns: a client with two hundred requests does not
delay one with a single request by more than the one that runs. When the queue is full, the client with the longest
line loses its newest request (longest queue drop, McKenney 1990): a flood fills the queue with its own requests only.

One sequence runs at a time. Running several is a matter of this file: `admit` fills more slots, `plan` returns one
chunk for each under the same token budget; the loop and the model already take steps of many chunks.
"""

from collections import OrderedDict, deque

from models.engine.sequence import Sequence
from models.engine.step import Chunk


class FairQueue:
    """Waiting sequences: first come first served within a client, round robin between clients."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[Sequence]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def push(self, sequence: Sequence) -> None:
        """Append to its client's line; a new client comes last."""
        self._lines.setdefault(sequence.client, deque()).append(sequence)
        self._size += 1

    def pop(self) -> Sequence:
        """The first of the client whose turn it is; the turn passes on. KeyError if nobody waits."""
        client, line = self._lines.popitem(last=False)
        self._size -= 1
        sequence = line.popleft()
        if line:
            self._lines[client] = line
        return sequence

    def pop_newest_of_longest(self) -> Sequence:
        """The newest of the client with most sequences waiting. ValueError if nobody waits."""
        client = max(self._lines, key=lambda name: len(self._lines[name]))
        newest = self._lines[client][-1]
        self.remove(newest)
        return newest

    def remove(self, sequence: Sequence) -> None:
        """Take it out of its line. KeyError or ValueError if it is not there."""
        line = self._lines[sequence.client]
        line.remove(sequence)
        self._size -= 1
        if not line:
            del self._lines[sequence.client]

    def waiting(self) -> list[Sequence]:
        """All, client by client."""
        return [sequence for line in self._lines.values() for sequence in line]


class Scheduler:
    """Decides; the loop performs.

    Args:
        queue_limit: how many sequences may wait, at least 1.
        chunk_tokens: the token budget of one step. A step cannot be interrupted, so this bounds how long a cancel or a
            new request goes unnoticed: 256 tokens take 0.8 to 1.5 s for the default model on two cores. 512 are hardly
            faster per token there (+1 %).

    """

    def __init__(self, *, queue_limit: int, chunk_tokens: int) -> None:
        self._queue = FairQueue()
        self._running: Sequence | None = None
        self._queue_limit = queue_limit
        self._chunk_tokens = chunk_tokens

    @property
    def queued(self) -> int:
        """How many wait."""
        return len(self._queue)

    @property
    def running(self) -> int:
        """How many run."""
        return int(self._running is not None)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do until the next submit."""
        return not self.queued and not self.running

    def submit(self, sequence: Sequence) -> Sequence | None:
        """Queue it; returns the sequence that had to go because the queue is full, perhaps this one."""
        self._queue.push(sequence)
        return self._queue.pop_newest_of_longest() if len(self._queue) > self._queue_limit else None

    def remove(self, sequence_id: int) -> Sequence | None:
        """Forget a sequence, waiting or running; None if it is already gone."""
        for sequence in self.sequences():
            if sequence.id == sequence_id:
                self._drop(sequence)
                return sequence
        return None

    def expire(self, now: float) -> list[Sequence]:
        """Forget and return all that have waited past their deadline. What runs is left alone."""
        late = [sequence for sequence in self._queue.waiting() if sequence.is_late(now)]
        for sequence in late:
            self._queue.remove(sequence)
        return late

    def admit(self) -> list[Sequence]:
        """Move waiting sequences into free slots; returns those that now start."""
        if self._running is not None or not self._queue:
            return []
        self._running = self._queue.pop()
        self._running.slot = 0
        return [self._running]

    def plan(self) -> list[Chunk]:
        """The next step for what runs; empty if nothing does. Planning changes nothing."""
        sequence = self._running
        if sequence is None:
            return []
        end = min(len(sequence.tokens), sequence.position + self._chunk_tokens)
        unread = tuple(sequence.tokens[sequence.position : end])
        return [Chunk(sequence.slot, sequence.position, unread, wants_token=end == len(sequence.tokens))]

    def sequences(self) -> list[Sequence]:
        """All that run or wait."""
        running = [] if self._running is None else [self._running]
        return running + self._queue.waiting()

    def _drop(self, sequence: Sequence) -> None:
        if sequence is self._running:
            self._running = None
        else:
            self._queue.remove(sequence)
