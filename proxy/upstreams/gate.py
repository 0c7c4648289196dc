"""The gate before the model server, and what is known of who stands behind it.

Where the supervisor runs, it opens and shuts the gate itself (local.py). A worker of a fleet has no supervisor; its
gate follows the fleet's.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from proxy.telemetry.events import Phase

Changed = Callable[[], None]
"""Called after each change of phase and each opening or shutting of the gate."""


def unobserved() -> None:
    """For a gate that nobody follows."""


class ModelGate:
    """Shut at first. See `upstream.Gate` for what requests need of it."""

    def __init__(self, changed: Changed = unobserved) -> None:
        self._changed = changed
        self._open = asyncio.Event()
        self.phase = Phase.DOWN
        """What the model server is doing."""
        self.facts: Mapping[str, Any] = {}
        """What it said when it became ready: model, context, threads, gpu_layers, load_seconds, …"""
        self.trouble = ""
        """Why it is not ready, in words for people; empty while all is well."""
        self.is_hopeless = False
        """Whether it has said that it cannot run."""

    @property
    def is_open(self) -> bool:
        """For reports. To send a request, `wait`."""
        return self._open.is_set()

    async def wait(self, seconds: float) -> bool:
        """Wait until requests can be sent.

        Nobody waits for a download, which takes longer than any client's patience, nor for a server that has said that
        it cannot run: it is started again, but it will hardly change its mind.
        """
        if self._open.is_set():
            return True
        if self.phase is Phase.FETCHING or self.is_hopeless:
            return False
        with suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0.0)):
                await self._open.wait()
        return self._open.is_set()

    def doubt(self) -> None:
        """A request found nobody there. The gate stays shut until the child's next sign of life, a second away if it
        lives; if it does not, until its successor is ready."""
        self._shut()

    def _let_in(self) -> None:
        if not self._open.is_set():
            self._open.set()
            self._changed()

    def _shut(self) -> None:
        if self._open.is_set():
            self._open.clear()
            self._changed()
