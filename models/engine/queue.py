"""Who is served next: fair between clients by the work that they ask for, not by the number of their requests.

Start-time fair queueing (Goyal, Vin, Cheng, 1996): every client has a tag, the work that it was served so far, and the
lowest tag is next. A client that was away starts at the tag of whoever was served last, so nobody saves up.
"""

from collections import deque

from models.engine.sequence import Sequence

_MOST_CLIENTS = 1024


class FairQueue:
    """Waiting sequences: first come first served within a client, least served first between clients."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[Sequence]] = {}
        self._served: dict[str, float] = {}
        self._level = 0.0
        """The tag of whoever was served last."""
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def push(self, sequence: Sequence) -> None:
        """Append to its client's line."""
        client = sequence.client
        if client not in self._lines:
            self._lines[client] = deque()
            self._served[client] = max(self._served.get(client, 0.0), self._level)
        self._lines[client].append(sequence)
        self._size += 1

    def peek(self) -> Sequence | None:
        """Whose turn it is: the first of the client that was served least."""
        client = min(self._lines, key=self._served.__getitem__, default=None)
        return None if client is None else self._lines[client][0]

    def take(self, sequence: Sequence) -> None:
        """Serve the one that `peek` gave."""
        client = sequence.client
        self._level = self._served[client]
        self._served[client] += sequence.cost_tokens / sequence.weight
        self.remove(sequence)
        self._forget_idle_clients()

    def _forget_idle_clients(self) -> None:
        """Nobody owes anything where nobody waits; and names come from clients, so not all can be kept."""
        if not self._lines or len(self._served) > _MOST_CLIENTS:
            self._served = {client: self._served[client] for client in self._lines}
        if not self._lines:
            self._level = 0.0

    def pop_newest_of_longest(self) -> Sequence:
        """The newest of the client with most sequences waiting. ValueError if nobody waits."""
        newest = max(self._lines.values(), key=len)[-1]
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
