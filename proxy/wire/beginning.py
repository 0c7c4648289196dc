"""How a conversation begins: the system and developer messages that stand before anything else."""

from typing import Final

import msgspec

BODY_BYTES: Final = 256 * 1024
"""Larger requests are left alone: what is unusual in them is not their beginning."""
_BEGINNING_BYTES: Final = 64 * 1024
_LEADING: Final = frozenset({"system", "developer"})


class _Body(msgspec.Struct):
    messages: list[msgspec.Raw]


class _Message(msgspec.Struct):
    role: str


_decode_body = msgspec.json.Decoder(_Body).decode
_decode_message = msgspec.json.Decoder(_Message).decode


def beginning(body: bytes) -> bytes | None:
    """The leading messages of a chat request as a JSON array, each in the bytes it came in; None if there are none, if
    they take more than 64 KiB, or if this is no chat request."""
    if len(body) > BODY_BYTES:
        return None
    try:
        leading = _leading(_decode_body(body).messages)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    found = b"[%b]" % b",".join(leading)
    return found if leading and len(found) <= _BEGINNING_BYTES else None


def _leading(messages: list[msgspec.Raw]) -> list[bytes]:
    leading: list[bytes] = []
    for message in messages:
        if _decode_message(message).role not in _LEADING:
            break
        leading.append(bytes(message))
    return leading
