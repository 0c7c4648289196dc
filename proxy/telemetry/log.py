"""Log lines from events, and from whatever else logs, on standard error: in order, and from a thread of their own."""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

import msgspec

from proxy.clock import SystemClock
from proxy.core.breaker import State
from proxy.core.outcome import Kind
from proxy.telemetry.events import (
    AttemptEnded,
    BreakerChanged,
    DrillChanged,
    DrillSkipped,
    Event,
    FaultCaught,
    ModelServerChanged,
    Phase,
    RequestEnded,
    Result,
    UpstreamSuspected,
    WorkerChanged,
)
from proxy.telemetry.line import HumanFormat, JsonFormat, Line, fields
from proxy.telemetry.writer import Ring, Writer

_LOGGER = logging.getLogger("hotspare")
_FIELDS = "fields"


@contextmanager
def configured(
    log_format: str, level: str, stream: TextIO = sys.stderr, *, worker: int | None = None
) -> Iterator[None]:
    """Log to `stream` while the context lasts, from a thread of its own: a pipe that nobody reads must not stop the
    event loop. Lines beyond what the ring holds are dropped, and their number is said. `worker` stands in every line.
    """
    form = (HumanFormat if resolved(log_format, stream) == "human" else JsonFormat)(worker)
    handler = _RingHandler()
    writer = Writer(handler.ring, form, stream)
    root = logging.getLogger()
    handlers_before, level_before = root.handlers[:], root.level
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("asyncio").setLevel("WARNING")
    writer.start()
    try:
        yield
    finally:
        writer.stop()
        root.handlers[:] = handlers_before
        root.setLevel(level_before)


def resolved(log_format: str, stream: TextIO = sys.stderr) -> str:
    """`auto` is human on a terminal and JSON elsewhere."""
    if log_format != "auto":
        return log_format
    return "human" if stream.isatty() else "json"


class _RingHandler(logging.Handler):
    """Where `logging` ends. Messages are made here: what they are made of may change, and frames must not be kept."""

    def __init__(self) -> None:
        super().__init__()
        self.ring = Ring()
        self._traceback = logging.Formatter().formatException

    def emit(self, record: logging.LogRecord) -> None:
        said: Mapping[str, object] = getattr(record, _FIELDS, {})
        traceback = self._traceback(record.exc_info) if record.exc_info else None
        self.ring.push(Line(record.created, record.levelno, record.name, _message(record), said, traceback))


def _message(record: logging.LogRecord) -> str:
    """`logging` would complain on standard error, and wait for its reader."""
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):  # the arguments do not fit the text
        return f"{record.msg} {record.args!r}"


class LogSink:
    """A sink for events. Make it inside `configured`; elsewhere its lines go wherever `logging` sends them.

    Two events come with every request: they bypass `logging`, and nothing is made of them here but a place in the ring.
    """

    def __init__(self, wall: Callable[[], float] | None = None) -> None:
        self._wall = wall or SystemClock().wall
        handlers = logging.getLogger().handlers
        self._ring = next((handler.ring for handler in handlers if isinstance(handler, _RingHandler)), None)
        self._threshold = logging.NOTSET if self._ring is None else _LOGGER.getEffectiveLevel()

    def __call__(self, event: Event) -> None:
        """Write one event."""
        if isinstance(event, AttemptEnded):
            level = logging.DEBUG if event.outcome.kind in _ANSWERS else logging.INFO
            if level >= self._threshold:
                self._tell(level, "attempt", event)
        elif isinstance(event, RequestEnded):
            level = logging.WARNING if event.result in _SHOULD_BE_SEEN else logging.INFO
            if level >= self._threshold:
                self._tell(level, "request", event)
        else:
            self._tell_rarity(event)

    @staticmethod
    def _tell_rarity(event: Event) -> None:
        match event:
            case BreakerChanged():
                level = logging.WARNING if event.after is State.OPEN else logging.INFO
                _log(level, f"breaker {event.after}", _breaker_fields(event))
            case UpstreamSuspected():
                said = {"upstream": event.upstream, "model": event.model or None, "doubt": event.doubt}
                _log(logging.INFO, "upstream suspect", said)
            case ModelServerChanged():
                level = logging.WARNING if event.phase is Phase.DOWN else logging.INFO
                _log(level, f"model server {event.phase}", {"detail": event.detail or None})
            case WorkerChanged():
                _log(logging.INFO, f"worker {event.phase}", {"number": event.number, "detail": event.detail or None})
            case DrillChanged(report):
                _log(logging.WARNING, _DRILL[report.end is not None, report.is_over], msgspec.structs.asdict(report))
            case DrillSkipped(drill, why):
                _log(logging.WARNING, "drill skipped", {**msgspec.structs.asdict(drill), "why": why})
            case FaultCaught():
                _LOGGER.error("fault in %s", event.where, exc_info=event.error)

    def _tell(self, level: int, message: str, event: RequestEnded | AttemptEnded) -> None:
        if self._ring is None:
            _log(level, message, fields(event))
        else:
            self._ring.push(Line(self._wall(), level, _LOGGER.name, message, event))


def _log(level: int, message: str, said: Mapping[str, object | None]) -> None:
    known = {name: value for name, value in said.items() if value is not None}
    _LOGGER.log(level, message, extra={_FIELDS: known})


_DRILL = {(False, False): "drill began", (True, False): "drill ended", (True, True): "drill over"}
_ANSWERS = frozenset({Kind.OK, Kind.CALLER_ERROR})
_SHOULD_BE_SEEN = frozenset({Result.UNAVAILABLE, Result.BROKEN_OFF, Result.FAULT})


def _breaker_fields(event: BreakerChanged) -> dict[str, object | None]:
    return {
        "upstream": event.upstream,
        "model": event.model,
        "before": event.before,
        "cause": event.cause,
        "open_seconds": event.open_seconds,
    }
