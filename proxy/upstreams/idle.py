"""The connections that wait for their next exchange. Last in, first out, so that those not needed grow old and go.

Age is counted in ticks of a slow clock: nobody reads the time for a connection that comes back after a millisecond.
"""

from typing import Generic, Protocol, TypeVar

TICK_SECONDS = 5.0
IDLE_TICKS = 10
"""50 s. Load balancers close after 60 s (AWS) or 75 s (nginx); whoever hangs up first knows that it did."""
LIFE_TICKS = 120
"""10 min. A connection that is always busy would never see that its name points elsewhere by now."""
IDLE_COUNT = 1024


class Keepable(Protocol):
    """What the pool wants to know of a connection."""

    born_tick: int

    def is_closing(self) -> bool:
        """Whether it is of no use any more."""
        ...


K = TypeVar("K", bound=Keepable)


class IdlePool(Generic[K]):
    """Idle connections, in the order in which they became idle."""

    def __init__(self) -> None:
        self._since: dict[K, int] = {}
        self.tick = 0

    def __len__(self) -> int:
        return len(self._since)

    def put(self, connection: K) -> bool:
        """Keep a connection; False if it is too old, or there are enough of them."""
        if self.tick - connection.born_tick >= LIFE_TICKS or len(self._since) >= IDLE_COUNT:
            return False
        self._since[connection] = self.tick
        return True

    def take(self) -> K | None:
        """The connection that became idle last, if any is fit for use."""
        while self._since:
            connection, _ = self._since.popitem()
            if not connection.is_closing():
                return connection
        return None

    def remove(self, connection: K) -> None:
        """Forget a connection, if it is here."""
        self._since.pop(connection, None)

    def advance(self) -> list[K]:
        """A tick has passed: forget what has been idle for too long or lived for too long, and return it."""
        self.tick += 1
        expired = [connection for connection in self._since if self._is_expired(connection)]
        for connection in expired:
            del self._since[connection]
        return expired

    def _is_expired(self, connection: K) -> bool:
        return self.tick - self._since[connection] >= IDLE_TICKS or self.tick - connection.born_tick >= LIFE_TICKS
