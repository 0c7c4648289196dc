"""What the requests of one dialogue have in common, and those of another have not.

That is the first message which is not the application's own: system prompts are the same for all dialogues of an
application and often longer than the rest, and what follows the first question grows with every turn.
"""

from typing import Final

from proxy.wire.messages import opening

_LARGE_BYTES: Final = 1024 * 1024
"""Reading a larger body would hold up everybody else for milliseconds."""
_BYTES: Final = 1024


def conversation(body: bytes) -> bytes:
    """The first kilobyte of a chat's first message from the user; of the whole body where there is none, as in
    completions and embeddings, each of which is a conversation of its own."""
    seen = opening(body) if len(body) <= _LARGE_BYTES else None
    return body[:_BYTES] if seen is None or seen.first is None else seen.first[:_BYTES]
