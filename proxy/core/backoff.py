"""How long to wait before the next try: exponential, capped, forgiven after a while of health."""

from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Doubles from `initial_seconds` to `max_seconds`; a run of health of `forgive_seconds` starts it afresh.

    The breaker's cooldown and the model server's restarts both wait by it. One success does not erase a bad record:
    an upstream that flaps would otherwise be met with the shortest wait for ever.
    """

    initial_seconds: float
    max_seconds: float
    forgive_seconds: float
    _next_seconds: float | None = None

    def wait_seconds(self, healthy_seconds: float) -> float:
        """The wait after a failure that ended `healthy_seconds` of health."""
        if self._next_seconds is None or healthy_seconds >= self.forgive_seconds:
            self._next_seconds = self.initial_seconds
        wait = self._next_seconds
        self._next_seconds = min(wait * 2, self.max_seconds)
        return wait
