"""What signals mean to the commands."""

import asyncio
import os
import signal
from collections.abc import Callable

_STDERR = 2


def install(stopping: asyncio.Event, on_hangup: Callable[[], None]) -> None:
    """SIGTERM and SIGINT set `stopping`; the second of them cancels the calling task, to end at once.

    SIGHUP calls `on_hangup`, unless it is true to its name: when the terminal that we began on is gone, it asks for the
    end like the others.
    """
    loop, main = asyncio.get_running_loop(), asyncio.current_task()
    began_on_terminal = os.isatty(_STDERR)

    def stop() -> None:
        if stopping.is_set() and main:
            main.cancel()
        stopping.set()

    def hang_up() -> None:
        if began_on_terminal and not os.isatty(_STDERR):
            stopping.set()
        else:
            on_hangup()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, hang_up)


def end_at_once() -> None:
    """SIGTERM and SIGHUP cancel the calling task, as SIGINT does by asyncio.Runner: what it began, it clears away."""
    task = asyncio.current_task()
    assert task
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
