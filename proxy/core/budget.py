"""How many retries an upstream can be asked to bear: a share of the requests, and a few each second in any case.

Retries without a bound turn a hiccup into an outage: everybody sends everything twice at the moment when it hurts most.
Prior art: Finagle's RetryBudget (20 % and 10/s by default), linkerd's, Envoy's retry_budget.
"""

from typing import Final

RETRY_SHARE: Final = 0.1
"""Of the requests. The load in a hiccup grows by a tenth at most."""

FLOOR_PER_SECOND: Final = 3.0
"""In a sidecar that sees one request a second a tenth would be none."""

_SAVED_SECONDS: Final = 10.0
"""What was not used is saved up for so long."""


class RetryBudget:
    """Owner of the balance. It is told the monotonic instant `now`."""

    __slots__ = ("_balance", "_counted", "_filled_at", "requests")

    def __init__(self, now: float) -> None:
        self.requests = 0
        """How many there were; counted by whoever begins them."""
        self._counted = 0
        self._filled_at = now
        self._balance = FLOOR_PER_SECOND

    def spend(self, now: float) -> bool:
        """Pay for one retry; False if it cannot be afforded."""
        self._fill(now)
        if self._balance < 1.0:
            return False
        self._balance -= 1.0
        return True

    def _fill(self, now: float) -> None:
        seconds = max(now - self._filled_at, 0.0)
        by_requests = (self.requests - self._counted) * RETRY_SHARE
        most = max(self._balance, _SAVED_SECONDS * FLOOR_PER_SECOND + by_requests)
        self._balance = min(self._balance + by_requests + seconds * FLOOR_PER_SECOND, most)
        self._filled_at = now
        self._counted = self.requests
