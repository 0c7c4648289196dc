"""The messages of a chat request: the application's own at the beginning, and what comes after them."""

from typing import Final, NamedTuple

import msgspec

_APPLICATION: Final = frozenset({"system", "developer"})


class _Body(msgspec.Struct):
    messages: list[msgspec.Raw]


class _Message(msgspec.Struct):
    role: str


_decode_body = msgspec.json.Decoder(_Body).decode
_decode_message = msgspec.json.Decoder(_Message).decode


class Opening(NamedTuple):
    """How a conversation begins, in the bytes that it came in."""

    leading: list[bytes]
    """The system and developer messages that stand before anything else."""
    first: bytes | None
    """The first message behind them."""


def opening(body: bytes) -> Opening | None:
    """Read a chat request as far as its first message that is not the application's; None if it is no such request."""
    leading: list[bytes] = []
    try:
        for message in _decode_body(body).messages:
            if _decode_message(message).role not in _APPLICATION:
                return Opening(leading, bytes(message))
            leading.append(bytes(message))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return Opening(leading, None)
