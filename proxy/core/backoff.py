"""How long to wait before the next try: exponential, capped, forgiven after a while of health."""

from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Doubles from `initial_seconds` to `max_seconds`; a run of health starts it afresh if it lasts `forgive_seconds`,
    and as long as the last wait.

    The breaker's cooldown and the model server's restarts both wait by it. One success does not erase a bad record:
    an upstream that flaps would otherwise be met with the shortest wait for ever, and one that was given up on for
    minutes has to be well for minutes.
    """

    initial_seconds: float
    max_seconds: float
    forgive_seconds: float
    _last_seconds: float | None = None

    def wait_seconds(self, healthy_seconds: float) -> float:
        """The wait after a failure that ended `healthy_seconds` of health."""
        last = self._last_seconds
        if last is None or healthy_seconds >= max(self.forgive_seconds, last):
            wait = self.initial_seconds
        else:
            wait = min(last * 2, self.max_seconds)
        self._last_seconds = wait
        return wait
