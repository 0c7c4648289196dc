"""Chat completions and completions (OpenAI API reference): is there content yet, is it whole, did it end well."""

from collections.abc import Sequence
from enum import Enum, auto
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


class _Whole(msgspec.Struct):
    error: msgspec.Raw = msgspec.Raw(b"null")


_decode_chunk = msgspec.json.Decoder(_Chunk).decode
_decode_whole = msgspec.json.Decoder(_Whole).decode

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


class Ending(Enum):
    """How a stream that the upstream closed had ended."""

    WELL = auto()
    UNFINISHED = auto()
    WITH_ERROR = auto()


def ending(tail: Sequence[bytes]) -> Ending:
    """Judge a closed stream by its last blocks of whole events.

    `[DONE]` or a finish_reason ends it well (some servers never send `[DONE]`). openai-python notices neither one
    missing: it takes a cut answer for a whole one.
    """
    if tail and tail[-1].rstrip().endswith(DONE) and not any(b'"error"' in block for block in tail):
        return Ending.WELL
    seen = [glance(data) for block in tail for data in sse.payloads(block)]
    if any(each.is_error for each in seen):
        return Ending.WITH_ERROR
    return Ending.WELL if any(each.is_finished for each in seen) else Ending.UNFINISHED


def is_whole(body: bytes) -> bool:
    """Whether an unstreamed answer under 200 is one: a JSON object without an error in it, not cut, not HTML."""
    try:
        return bytes(_decode_whole(body).error) == b"null"
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False
