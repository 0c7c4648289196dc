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
        self._is_open = False
        self._news = asyncio.Event()
        """Set, and replaced, whenever something changes."""
        self.phase = Phase.DOWN
        """What the model server is doing."""
        self.facts: Mapping[str, Any] = {}
        """What it said when it became ready: model, context, threads, gpu_layers, load_seconds, …"""
        self.trouble = ""
        """Why it is not ready, in words for people; empty while all is well."""
        self.is_hopeless = False
        """Whether it has said that it cannot run, or has come to its end too often before it was ready."""

    @property
    def is_open(self) -> bool:
        """For reports. To send a request, `wait`."""
        return self._is_open

    async def wait(self, seconds: float) -> bool:
        """Wait until requests can be sent. A spare that rests is woken by that.

        Nobody waits for a download, which takes longer than any client's patience, nor for a server that
        cannot run: it is started again, but it will hardly change its mind.
        """
        if self._is_open:
            return True
        self.want()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0.0)):
                while not (self._is_open or self._is_in_vain):
                    await self._news.wait()
        return self._is_open

    def want(self) -> None:
        """Somebody needs it, or will perhaps. For a gate before what never rests this changes nothing."""

    def doubt(self) -> None:
        """A request found nobody there. The gate stays shut until the child's next sign of life, a second away if it
        lives; if it does not, until its successor is ready."""
        self._shut()

    @property
    def _is_in_vain(self) -> bool:
        return self.phase is Phase.FETCHING or self.is_hopeless

    def _let_in(self) -> None:
        if not self._is_open:
            self._is_open = True
            self._tell()

    def _shut(self) -> None:
        if self._is_open:
            self._is_open = False
            self._tell()

    def _tell(self) -> None:
        """Something has changed: whoever waits looks again."""
        self._news.set()
        self._news = asyncio.Event()
        self._changed()
