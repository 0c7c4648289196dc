"""What the requests of one dialogue have in common, and those of another have not.

That is the first message which is not the application's own: system prompts are the same for all dialogues of an
application and often longer than the rest, and what follows the first question grows with every turn.
"""

from typing import Final

import msgspec

_LARGE_BYTES: Final = 1024 * 1024
"""Reading a larger body would hold up everybody else for milliseconds."""
_BYTES: Final = 1024
_APPLICATION: Final = frozenset({"system", "developer"})


class _Body(msgspec.Struct):
    messages: list[msgspec.Raw]


class _Message(msgspec.Struct):
    role: str


_decode_body = msgspec.json.Decoder(_Body).decode
_decode_message = msgspec.json.Decoder(_Message).decode


def conversation(body: bytes) -> bytes:
    """The first kilobyte of a chat's first message from the user; of the whole body where there is none, as in
    completions and embeddings, each of which is a conversation of its own."""
    if len(body) > _LARGE_BYTES:
        return body[:_BYTES]
    try:
        messages = _decode_body(body).messages
        first = next((each for each in messages if _decode_message(each).role not in _APPLICATION), None)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        first = None
    return body[:_BYTES] if first is None else bytes(first)[:_BYTES]
