"""Chat completions and completions (OpenAI API reference): is there content yet, is it whole, did it end well."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from proxy.wire import sse

DONE = b"[DONE]"


class Glance(NamedTuple):
    """What one event of a stream amounts to."""

    has_content: bool = False
    is_finished: bool = False
    is_error: bool = False


class _Choice(msgspec.Struct):
    delta: dict[str, msgspec.Raw] | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    error: msgspec.Raw = msgspec.Raw(b"null")


class _Place(msgspec.Struct):
    index: msgspec.Raw = msgspec.Raw(b"0")
    finish_reason: str | None = None


class _Places(msgspec.Struct):
    """Of a chunk, which answers it speaks of, and which of them it ends."""

    choices: list[_Place] | None = None


class _Whole(msgspec.Struct):
    error: msgspec.Raw = msgspec.Raw(b"null")


_decode_chunk = msgspec.json.Decoder(_Chunk).decode
_decode_places = msgspec.json.Decoder(_Places).decode
_decode_whole = msgspec.json.Decoder(_Whole).decode

_FINISH_REASON = b'"finish_reason"'
_EMPTY = (b"null", b'""', b"[]", b"{}")


def glance(data: bytes) -> Glance:
    """Judge the data of one event. What is not JSON, or carries an error object, is an error.

    A role alone is no content: models that hang send it first. Reasoning, tool calls and refusals are.
    """
    if data == DONE:
        return Glance(is_finished=True)
    try:
        chunk = _decode_chunk(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return Glance(is_error=True)
    if bytes(chunk.error) != b"null":
        return Glance(is_error=True)
    choices = chunk.choices or ()
    return Glance(
        has_content=any(_has_content(choice) for choice in choices),
        is_finished=any(choice.finish_reason for choice in choices),
    )


def _has_content(choice: _Choice) -> bool:
    if choice.text:
        return True
    return any(name != "role" and bytes(value) not in _EMPTY for name, value in (choice.delta or {}).items())


def is_done(tail: Sequence[bytes]) -> bool:
    """Whether a stream says itself that it is complete, by its last blocks of whole events."""
    return bool(tail) and tail[-1].rstrip().endswith(DONE)


def is_finished(tail: Sequence[bytes]) -> bool:
    """Whether a closed stream had ended well, by its last blocks of whole events.

    `[DONE]` or a finish_reason ends it well (some servers never send `[DONE]`). openai-python notices neither one
    missing: it takes a cut answer for a whole one.
    """
    return is_done(tail) or any(glance(data).is_finished for block in tail for data in sse.payloads(block))


def is_open(delivered: bytes) -> bool:
    """Whether one of the answers that a stream has begun has no reason for its end, by all that it has delivered. Of
    several answers one may be complete while another is cut.
    """
    begun: set[bytes] = set()
    finished: set[bytes] = set()
    for data in sse.payloads(delivered):
        for choice in _places(data):
            (finished if choice.finish_reason else begun).add(bytes(choice.index))
    return not begun <= finished


def _places(data: bytes) -> Sequence[_Place]:
    try:
        return _decode_places(data).choices or ()
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return ()


def is_error(data: bytes) -> bool:
    """Whether the data of an event is JSON that carries an error."""
    try:
        return bytes(_decode_whole(data).error) != b"null"
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False


def is_whole(body: bytes) -> bool:
    """Whether an unstreamed answer under 200 is one: a JSON object without an error in it, not cut, not HTML, and
    finished, if it says anything about that.
    """
    try:
        return bytes(_decode_whole(body).error) == b"null" and not _is_unfinished(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False


def _is_unfinished(body: bytes) -> bool:
    """Whether no choice has a reason for its end. Looked at closely only where one seems to have none."""
    start = body.rfind(_FINISH_REASON)
    if start < 0 or not body[start + len(_FINISH_REASON) :].lstrip(b" :\n").startswith(b"null"):
        return False
    choices = _decode_chunk(body).choices
    return bool(choices) and not any(choice.finish_reason for choice in choices or ())
