"""What the proxy itself counted of the outage, from the same numbers that `/metrics` shows. Pure."""

from dataclasses import dataclass

from proxy.telemetry import families
from proxy.telemetry.events import Result
from proxy.telemetry.tally import Labels, Snapshot


@dataclass(frozen=True, slots=True)
class Attempts:
    """Exchanges with one upstream that ended alike."""

    upstream: str
    outcome: str
    count: int


@dataclass(frozen=True, slots=True)
class Incident:
    """Of all requests so far."""

    attempts: tuple[Attempts, ...]
    """In the order in which upstreams were first asked."""
    resumed: tuple[tuple[str, str], ...]
    """Whose answers broke off, and who went on."""
    results: dict[str, int]
    """How requests ended for the client."""

    @property
    def errors(self) -> int:
        """Requests that were not answered."""
        return sum(count for result, count in self.results.items() if result != Result.ANSWERED)


def incident(snapshot: Snapshot) -> Incident:
    """What a proxy's numbers say."""
    attempts = snapshot.counters.get(families.ATTEMPTS.name, {})
    resumed = snapshot.counters.get(families.RESUMED_STREAMS.name, {})
    results: dict[str, int] = {}
    for (_, result, _), count in _requests(snapshot).items():
        results[result] = results.get(result, 0) + int(count)
    return Incident(
        attempts=tuple(Attempts(upstream, outcome, int(count)) for (upstream, outcome), count in attempts.items()),
        resumed=tuple((origin, follower) for origin, follower in resumed),
        results=results,
    )


def count_requests(snapshot: Snapshot) -> int:
    """How many have ended."""
    return int(sum(_requests(snapshot).values()))


def _requests(snapshot: Snapshot) -> dict[Labels, float]:
    return snapshot.counters.get(families.REQUESTS.name, {})
