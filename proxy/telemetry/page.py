"""The page that Prometheus scrapes. Its library is not needed to start, so the first page loads it."""

import asyncio

from proxy.telemetry.tally import Snapshot


async def page(snapshot: Snapshot) -> tuple[bytes, str]:
    """The exposition and its content type, made in a thread: to load the library takes files and tens of milliseconds,
    and requests go on meanwhile. Whoever comes during that waits for the interpreter's own lock on the import.
    """
    return await asyncio.to_thread(_render, snapshot)


def _render(snapshot: Snapshot) -> tuple[bytes, str]:
    from proxy.telemetry.exposition import exposition

    return exposition(snapshot)
