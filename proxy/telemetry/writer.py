"""Log lines on their way out: a bounded ring, which never makes the event loop wait, and a thread that empties it."""

import logging
import os
import select
from collections import deque
from threading import Event, Lock, Thread
from typing import TextIO

from proxy.telemetry.line import Format, Line

RING_LINES = 16_384
"""Half a second of the busiest worker, and some 10 MB when a reader has stopped reading."""

_PAUSE_SECONDS = 0.1
_SLICE_LINES = 8
_SLICES = 16
"""Lines are formatted and written in slices. Formatting holds the interpreter's lock, for which the event loop then
waits; writing gives it back, and a busy loop keeps it for 5 ms. Small slices are kind to the loop, and are usually
written whole among the lines of other processes (PIPE_BUF); the more lines wait, the larger the slices have to be."""

_STUCK_SECONDS = 1.0


class Ring:
    """Lines that wait. Any thread may push; one takes."""

    def __init__(self, limit: int = RING_LINES) -> None:
        self._limit = limit
        self._lines: deque[Line] = deque()
        self._wake = Event()
        self._lock = Lock()
        self._dropped = 0
        self._dropped_at = 0.0

    def __len__(self) -> int:
        return len(self._lines)

    def push(self, line: Line) -> None:
        """Keep a line, or count it as dropped if the ring is full: the first lines say how it began."""
        if len(self._lines) >= self._limit:
            self.drop(1, line.created)
            return
        self._lines.append(line)
        if line.level >= logging.WARNING and not self._wake.is_set():
            self._wake.set()

    def drop(self, count: int, at: float) -> None:
        """Note that lines are lost."""
        with self._lock:
            self._dropped += count
            self._dropped_at = at

    def take(self, most: int) -> list[Line]:
        """The oldest lines."""
        return [self._lines.popleft() for _ in range(min(most, len(self._lines)))]

    def take_dropped(self) -> Line | None:
        """What to say about lines that were lost since this was last asked."""
        with self._lock:
            count, self._dropped = self._dropped, 0
        if not count:
            return None
        return Line(self._dropped_at, logging.WARNING, "hotspare", "log lines dropped", {"count": count})

    def wake(self) -> None:
        """Whoever waits need not wait longer."""
        self._wake.set()

    def wait(self, seconds: float) -> bool:
        """Until somebody should look at once, or the time is over; which of the two it was."""
        is_urgent = self._wake.wait(seconds)
        self._wake.clear()
        return is_urgent


class Writer:
    """The thread. A daemon: a pipe that nobody reads must not keep the process alive."""

    def __init__(self, ring: Ring, form: Format, stream: TextIO) -> None:
        self._ring = ring
        self._format = form
        self._stream = stream
        self._descriptor = _descriptor(stream)
        self._is_stopping = False
        self._written = 0
        self._thread = Thread(target=self._run, name="log", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is left, unless nobody reads it: then leave it."""
        self._is_stopping = True
        self._ring.wake()
        written = -1
        while self._thread.is_alive() and written != self._written:
            written = self._written
            self._thread.join(_STUCK_SECONDS)

    def _run(self) -> None:
        while not self._is_stopping:
            self._ring.wait(_PAUSE_SECONDS)
            self._write_waiting()
        self._write_waiting()

    def _write_waiting(self) -> None:
        dropped = self._ring.take_dropped()  # asked first: they came after all that waits now
        size = max(_SLICE_LINES, len(self._ring) // _SLICES)
        for _ in range(0, len(self._ring), size):
            self._write(self._ring.take(size))
        if dropped:
            self._write([dropped])

    def _write(self, lines: list[Line]) -> None:
        text = "".join(map(self._format, lines))
        try:
            self._put(text)
            self._written += len(lines)
        except OSError:  # whoever read is gone, or the disk is full
            self._ring.drop(len(lines), lines[-1].created)

    def _put(self, text: str) -> None:
        if self._descriptor is None:
            self._stream.write(text)
            self._stream.flush()
        else:
            _write_all(self._descriptor, text.encode(errors="backslashreplace"))


def _descriptor(stream: TextIO) -> int | None:
    """The stream's own buffer has a lock; a thread that hung in it would abort the interpreter at its exit."""
    try:
        return stream.fileno()
    except OSError:  # a stream in memory
        return None


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        try:
            content = content[os.write(descriptor, content) :]
        except BlockingIOError:  # somebody who shares the terminal has made it so
            select.select([], [descriptor], [])
