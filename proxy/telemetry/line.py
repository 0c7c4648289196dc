"""What a log line says, as JSON or for people. No key and no prompt text gets here: no event has any."""

import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from proxy.core.outcome import Kind
from proxy.telemetry.events import AttemptEnded, Endpoint, RequestEnded, Result


class Line(Struct, gc=False):
    """One line, yet to be written. `created` is in seconds since the epoch, `level` one of logging's.

    The frequent events come as they are, and are put into words by whoever writes them.
    """

    created: float
    level: int
    logger: str
    message: str
    facts: RequestEnded | AttemptEnded | Mapping[str, object]
    traceback: str | None = None


Format = Callable[[Line], str]
"""The text of a line, its end included."""


class _Head(Struct, gc=False, omit_defaults=True):
    time: str
    level: str
    logger: str
    message: str
    worker: int | None = None
    traceback: str | None = None


class _RequestFields(Struct, gc=False, omit_defaults=True, kw_only=True):
    request_id: str
    client: str = ""
    method: str
    endpoint: Endpoint
    stream: bool
    status: int
    result: Result
    upstream: str | None = None
    resumed_by: str | None = None
    attempts: int
    tried: str = ""
    lost: str = ""
    seconds: float
    first_content_seconds: float | None = None


class _AttemptFields(Struct, gc=False, omit_defaults=True, kw_only=True):
    request_id: str
    upstream: str
    number: int
    outcome: Kind
    status: int | None = None
    detail: str = ""
    seconds: float
    first_content_seconds: float | None = None
    upstream_request_id: str | None = None


def fields(facts: RequestEnded | AttemptEnded | Mapping[str, object]) -> dict[str, object]:
    """What is known, by name; texts, numbers and truth values."""
    found: dict[str, object] = msgspec.to_builtins(_fields(facts), enc_hook=str)
    return found


def _fields(facts: RequestEnded | AttemptEnded | Mapping[str, object]) -> Struct | Mapping[str, object]:
    match facts:
        case RequestEnded():
            return _request_fields(facts)
        case AttemptEnded():
            return _attempt_fields(facts)
        case _:
            return facts


def _request_fields(event: RequestEnded) -> _RequestFields:
    return _RequestFields(
        request_id=event.request_id,
        client=event.client,
        method=event.method,
        endpoint=event.endpoint,
        stream=event.is_stream,
        status=event.status,
        result=event.result,
        upstream=event.upstream,
        resumed_by=event.resumed_by,
        attempts=event.attempts,
        tried="; ".join(map(str, event.tried)) if event.tried else "",
        lost=", ".join(event.losses) if event.losses else "",
        seconds=_rounded(event.seconds),
        first_content_seconds=None if event.first_content_seconds is None else _rounded(event.first_content_seconds),
    )


def _attempt_fields(event: AttemptEnded) -> _AttemptFields:
    return _AttemptFields(
        request_id=event.request_id,
        upstream=event.upstream,
        number=event.number,
        outcome=event.outcome.kind,
        status=event.outcome.status,
        detail=event.outcome.detail,
        seconds=_rounded(event.seconds),
        first_content_seconds=None if event.first_content_seconds is None else _rounded(event.first_content_seconds),
        upstream_request_id=event.upstream_request_id,
    )


def _rounded(seconds: float) -> float:
    """To a tenth of a millisecond: round() takes four times as long."""
    return int(seconds * 10_000 + 0.5) / 10_000


class JsonFormat:
    """One object a line, in ASCII; the time in UTC (RFC 3339)."""

    def __init__(self, worker: int | None = None) -> None:
        self._worker = worker
        self._encode = msgspec.json.Encoder(enc_hook=str).encode
        self._millisecond = 0
        self._time = ""

    def __call__(self, line: Line) -> str:
        """The text of a line."""
        level = logging.getLevelName(line.level).lower()
        head = _Head(self._time_of(line.created), level, line.logger, line.message, self._worker, line.traceback)
        said = _fields(line.facts)
        try:
            text = self._joined(head, said)
        except UnicodeEncodeError:  # half a surrogate pair, which json.dumps can escape
            return _escaped(head, said)
        return text.decode() if text.isascii() else _escaped(head, said)

    def _joined(self, head: _Head, said: Struct | Mapping[str, object]) -> bytes:
        """Two objects as one: what stands between them is their braces."""
        first, second = self._encode(head), self._encode(said)
        return first + b"\n" if second == b"{}" else b"%b,%b\n" % (first[:-1], second[1:])

    def _time_of(self, created: float) -> str:
        """A busy millisecond has many lines."""
        millisecond = int(created * 1000)
        if millisecond != self._millisecond:
            self._millisecond = millisecond
            self._time = _rfc3339(millisecond)
        return self._time


def _rfc3339(millisecond: int) -> str:
    seconds, rest = divmod(millisecond, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"


def _escaped(head: _Head, said: Struct | Mapping[str, object]) -> str:
    """Line separators and the marks that turn text around must not reach a terminal or a log's parser."""
    return json.dumps(msgspec.to_builtins(head) | msgspec.to_builtins(said, enc_hook=str)) + "\n"


class HumanFormat:
    """A line for a terminal; values with spaces or control characters are quoted."""

    def __init__(self, worker: int | None = None) -> None:
        self._common = {} if worker is None else {"worker": worker}

    def __call__(self, line: Line) -> str:
        """The text of a line, with the traceback on lines of its own."""
        time = datetime.fromtimestamp(line.created, UTC).astimezone().strftime("%H:%M:%S")
        said = " ".join(f"{name}={_readable(value)}" for name, value in (self._common | fields(line.facts)).items())
        level = logging.getLevelName(line.level).lower()
        text = f"{time} {level:7} {line.message} {said}".rstrip()
        return f"{text}\n{line.traceback}\n" if line.traceback else f"{text}\n"


def _readable(value: object) -> str:
    text = str(value)
    return text if text.isprintable() and " " not in text else json.dumps(text)
