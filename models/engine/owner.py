"""A thread that owns a model: others leave it commands, and nobody is left waiting when it ends."""

import logging
import threading
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from models.errors import EngineFailed

_log = logging.getLogger(__name__)

CommandT = TypeVar("CommandT")


class Owner(Generic[CommandT]):
    """The thread, its inbox, and the door that shuts when it ends. Any thread may call any method but `commands`.

    Args:
        turn: called on the thread until it returns False; whatever it raises ends the thread.
        close: called on the thread when nothing comes in any more: with the reason, and the commands that nobody took.
        on_failure: called once, behind that, if the end was an error that nobody foresaw.

    """

    def __init__(
        self,
        turn: Callable[[], bool],
        close: Callable[[EngineFailed, list[CommandT]], None],
        on_failure: Callable[[], None],
    ) -> None:
        self._turn = turn
        self._close = close
        self._on_failure = on_failure
        self._inbox: SimpleQueue[CommandT | None] = SimpleQueue()
        """None is the order to end."""
        # Held for the lines that must not interleave: "is it closed?" then put, and close then drain.
        self._door = threading.Lock()
        self._is_closed = False
        # A daemon: a step that hangs inside llama.cpp must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """End the thread; False if its turn has not returned after `timeout` s."""
        self._inbox.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def put(self, command: CommandT) -> None:
        """Leave a command.

        Raises:
            EngineFailed: the thread has ended, or is about to.

        """
        with self._door:
            if self._is_closed:
                raise EngineFailed("the local model has stopped")
            self._inbox.put(command)

    def commands(self, *, is_idle: bool) -> Iterator[CommandT | None]:
        """What has come; None is the order to end. Blocks for the first one if there is nothing else to do."""
        if is_idle:
            yield self._inbox.get()
        yield from self._pending()

    def _pending(self) -> Iterator[CommandT | None]:
        while True:
            try:
                yield self._inbox.get_nowait()
            except Empty:
                return

    def _run(self) -> None:
        try:
            while self._turn():
                pass
            self._end("the local model is shutting down")
        except Exception:  # noqa: BLE001 - the boundary: whatever it is, no client may be left waiting
            _log.critical("the engine died", exc_info=True)
            self._end("the local model has crashed")
            self._on_failure()

    def _end(self, why: str) -> None:
        with self._door:
            self._is_closed = True
        self._close(EngineFailed(why), [command for command in self._pending() if command is not None])
