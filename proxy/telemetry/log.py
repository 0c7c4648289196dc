"""Log lines from events, human or JSON, on standard error. No key and no prompt text gets here: no event has any."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener
from queue import Full, Queue
from typing import Any, TextIO

from proxy.core.breaker import State
from proxy.telemetry.events import (
    AttemptEnded,
    BreakerChanged,
    Event,
    FaultCaught,
    ModelServerChanged,
    Phase,
    RequestEnded,
    Result,
)

_LOGGER = logging.getLogger("hotspare")
_FIELDS = "fields"


_QUEUE_LINES = 10_000
_LAST_LINES_SECONDS = 1.0


@contextmanager
def configured(log_format: str, level: str, stream: TextIO = sys.stderr) -> Iterator[None]:
    """Log to `stream` while the context lasts, from a thread of its own: a pipe that nobody reads must not stop the
    event loop. Lines beyond what the queue holds are dropped.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_HumanFormatter() if resolved(log_format, stream) == "human" else _JsonFormatter())
    queue: Queue[logging.LogRecord | None] = Queue(_QUEUE_LINES)
    listener = _Listener(queue, handler)
    root = logging.getLogger()
    handlers_before, level_before = root.handlers[:], root.level
    root.handlers[:] = [_Enqueue(queue)]
    root.setLevel(level.upper())
    logging.getLogger("asyncio").setLevel("WARNING")
    listener.start()
    try:
        yield
    finally:
        listener.stop()
        root.handlers[:] = handlers_before
        root.setLevel(level_before)


class _Listener(QueueListener):
    def __init__(self, lines: "Queue[logging.LogRecord | None]", handler: logging.Handler) -> None:
        super().__init__(lines, handler)
        self._lines = lines

    def stop(self) -> None:
        """Write what is queued, unless nobody reads it: then leave it."""
        if self._thread is None:
            return
        with suppress(Full):
            self._lines.put(None, timeout=_LAST_LINES_SECONDS)
        self._thread.join(_LAST_LINES_SECONDS)


class _Enqueue(QueueHandler):
    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """As it is: the listener lives in the same process, and formats it."""
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        """Never wait."""
        with suppress(Full):
            self.queue.put_nowait(record)


def resolved(log_format: str, stream: TextIO = sys.stderr) -> str:
    """`auto` is human on a terminal and JSON elsewhere."""
    if log_format != "auto":
        return log_format
    return "human" if stream.isatty() else "json"


class LogSink:
    """A sink for events."""

    def __call__(self, event: Event) -> None:
        """Write one event."""
        match event:
            case RequestEnded():
                self._write(_level_of(event.result), "request", _request_fields(event))
            case AttemptEnded():
                level = logging.DEBUG if event.outcome.is_answer else logging.INFO
                self._write(level, "attempt", _attempt_fields(event))
            case BreakerChanged():
                level = logging.WARNING if event.after is State.OPEN else logging.INFO
                self._write(level, f"breaker {event.after}", _breaker_fields(event))
            case ModelServerChanged():
                level = logging.WARNING if event.phase is Phase.DOWN else logging.INFO
                self._write(level, f"model server {event.phase}", {"detail": event.detail or None})
            case FaultCaught():
                _LOGGER.error("fault in %s", event.where, exc_info=event.error)

    @staticmethod
    def _write(level: int, message: str, fields: dict[str, Any]) -> None:
        if _LOGGER.isEnabledFor(level):
            said = {name: value for name, value in fields.items() if value is not None}
            _LOGGER.log(level, message, extra={_FIELDS: said})


def _level_of(result: Result) -> int:
    return logging.WARNING if result in (Result.UNAVAILABLE, Result.BROKEN_OFF, Result.FAULT) else logging.INFO


def _request_fields(event: RequestEnded) -> dict[str, Any]:
    return {
        "request_id": event.request_id,
        "client": event.client or None,
        "method": event.method,
        "endpoint": event.endpoint,
        "stream": event.is_stream,
        "status": event.status,
        "result": event.result,
        "upstream": event.upstream,
        "attempts": event.attempts,
        "tried": "; ".join(map(str, event.tried)) or None,
        "lost": ", ".join(event.losses) or None,
        "seconds": round(event.seconds, 4),
        "first_content_seconds": _rounded(event.first_content_seconds),
    }


def _attempt_fields(event: AttemptEnded) -> dict[str, Any]:
    return {
        "request_id": event.request_id,
        "upstream": event.upstream,
        "number": event.number,
        "outcome": event.outcome.kind,
        "status": event.outcome.status,
        "detail": event.outcome.detail or None,
        "seconds": round(event.seconds, 4),
        "first_content_seconds": _rounded(event.first_content_seconds),
        "upstream_request_id": event.upstream_request_id,
    }


def _breaker_fields(event: BreakerChanged) -> dict[str, Any]:
    return {"upstream": event.upstream, "model": event.model, "before": event.before, "cause": event.cause}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)


class _JsonFormatter(logging.Formatter):
    """One object a line; the time in UTC (RFC 3339)."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        entry: dict[str, Any] = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


class _HumanFormatter(logging.Formatter):
    """A line for a terminal; values with spaces or control characters are quoted."""

    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{name}={_readable(value)}" for name, value in getattr(record, _FIELDS, {}).items())
        time = self.formatTime(record, "%H:%M:%S")
        line = f"{time} {record.levelname.lower():7} {record.getMessage()} {fields}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _readable(value: object) -> str:
    text = str(value)
    return text if text.isprintable() and " " not in text else json.dumps(text)
