"""How a conversation begins: the system and developer messages that stand before anything else."""

from typing import Final

from proxy.wire.messages import opening

BODY_BYTES: Final = 256 * 1024
"""Larger requests are left alone: what is unusual in them is not their beginning."""
_BEGINNING_BYTES: Final = 64 * 1024


def beginning(body: bytes) -> bytes | None:
    """The leading messages of a chat request as a JSON array, each in the bytes it came in; None if there are none, if
    they take more than 64 KiB, or if this is no chat request."""
    seen = opening(body) if len(body) <= BODY_BYTES else None
    if seen is None:
        return None
    found = b"[%b]" % b",".join(seen.leading)
    return found if seen.leading and len(found) <= _BEGINNING_BYTES else None
