"""The page that Prometheus scrapes. Its library is not needed to start, so the first page loads it."""

from proxy.telemetry.tally import Snapshot


def page(snapshot: Snapshot) -> tuple[bytes, str]:
    """The exposition and its content type."""
    from proxy.telemetry.exposition import exposition

    return exposition(snapshot)
