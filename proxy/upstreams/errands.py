"""Short tasks that somebody begins now and then, and that must not outlive it."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from proxy.telemetry.events import Emit, FaultCaught


class Errands:
    """Owner of the tasks. `where` names them should one fail of an error that nobody expected."""

    def __init__(self, where: str, emit: Emit) -> None:
        self._where = where
        self._emit = emit
        self._running: set[asyncio.Task[None]] = set()

    def begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run it."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def stop(self) -> None:
        """End all that run."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._emit(FaultCaught(self._where, error))
