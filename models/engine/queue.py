"""Who is served next: fair between clients by the work that they ask for, not by the number of their requests.

Start-time fair queueing (Goyal, Vin, Cheng, 1996): every client has a tag, the work that it was served so far, and the
lowest tag is next. A client that was away starts at the tag of whoever was served last, so nobody saves up.
"""

import math
from collections import deque
from typing import Final, Generic, Protocol, TypeVar

_MOST_CLIENTS: Final = 1024

_RETRY_AFTER_SECONDS: Final = (1, 60)
"""What is told to whoever is refused lies between these: nobody believes a forecast of an hour."""


class Waiting(Protocol):
    """What can wait in line."""

    @property
    def client(self) -> str:
        """Whom fairness counts it for."""

    @property
    def cost_tokens(self) -> int:
        """What it may cost."""

    @property
    def weight(self) -> float:
        """How much more than others its client may have."""


_WaitingT = TypeVar("_WaitingT", bound=Waiting)


def retry_after_seconds(expected_wait_seconds: float) -> int:
    """When whoever is refused may try again."""
    shortest, longest = _RETRY_AFTER_SECONDS
    return min(max(math.ceil(expected_wait_seconds), shortest), longest)


class FairQueue(Generic[_WaitingT]):
    """Who waits: first come first served within a client, least served first between clients."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[_WaitingT]] = {}
        self._served: dict[str, float] = {}
        self._level = 0.0
        """The tag of whoever was served last."""
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def push(self, item: _WaitingT) -> None:
        """Append to its client's line."""
        client = item.client
        if client not in self._lines:
            self._lines[client] = deque()
            self._served[client] = max(self._served.get(client, 0.0), self._level)
        self._lines[client].append(item)
        self._size += 1

    def peek(self) -> _WaitingT | None:
        """Whose turn it is: the first of the client that was served least."""
        client = min(self._lines, key=self._served.__getitem__, default=None)
        return None if client is None else self._lines[client][0]

    def take(self, item: _WaitingT) -> None:
        """Serve the one that `peek` gave."""
        client = item.client
        self._level = self._served[client]
        self._served[client] += item.cost_tokens / item.weight
        self.remove(item)
        self._forget_idle_clients()

    def _forget_idle_clients(self) -> None:
        """Nobody owes anything where nobody waits; and names come from clients, so not all can be kept."""
        if not self._lines or len(self._served) > _MOST_CLIENTS:
            self._served = {client: self._served[client] for client in self._lines}
        if not self._lines:
            self._level = 0.0

    def pop_newest_of_longest(self) -> _WaitingT:
        """The newest of the client with most sequences waiting. ValueError if nobody waits."""
        newest = max(self._lines.values(), key=len)[-1]
        self.remove(newest)
        return newest

    def remove(self, item: _WaitingT) -> None:
        """Take it out of its line. KeyError or ValueError if it is not there."""
        line = self._lines[item.client]
        line.remove(item)
        self._size -= 1
        if not line:
            del self._lines[item.client]

    def waiting(self) -> list[_WaitingT]:
        """All, client by client."""
        return [item for line in self._lines.values() for item in line]
