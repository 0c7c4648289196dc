"""How long an answer a request allows."""

import msgspec


class _Body(msgspec.Struct):
    max_completion_tokens: int | None = None
    max_tokens: int | None = None


_decode = msgspec.json.Decoder(_Body).decode


def allowed_tokens(body: bytes) -> int | None:
    """The limit on the answer's length; None where none is said, or not in a number."""
    try:
        said = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return said.max_tokens if said.max_completion_tokens is None else said.max_completion_tokens
