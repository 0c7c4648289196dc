"""When a dead worker's successor starts. Pure: seconds in, seconds out."""

from typing import Final

from proxy.core.backoff import Backoff

HEALTHY_SECONDS: Final = 1.0
"""A worker that served for so long died of something that came from outside or comes rarely: its successor starts at
once. One that died sooner would die again, and starting processes without a pause takes the machine from the others."""

INITIAL_SECONDS: Final = 0.2
MAX_SECONDS: Final = 5.0
"""Short, since connections wait in the dead worker's socket meanwhile."""


class Restarts:
    """The record of one slot."""

    def __init__(self) -> None:
        self._backoff = Backoff(INITIAL_SECONDS, MAX_SECONDS, HEALTHY_SECONDS)

    def wait_seconds(self, served_seconds: float) -> float:
        """How long to wait after a worker that served for so long; 0 seconds if it never became ready."""
        wait = self._backoff.wait_seconds(served_seconds)
        return 0.0 if served_seconds >= HEALTHY_SECONDS else wait
