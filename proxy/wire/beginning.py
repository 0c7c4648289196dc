"""How a conversation begins: what the model reads before anything that a client says.

That is the tools, which chat templates print first, and the system and developer messages that stand before anything
else. No other field is printed: `response_format` is a rule for the answer, and so is every `tool_choice` but "none",
with which the model is told of no tools.
"""

from typing import Final

import msgspec

from proxy.wire.messages import opening

BODY_BYTES: Final = 256 * 1024
"""Larger requests are left alone: what is unusual in them is not their beginning."""
_BEGINNING_BYTES: Final = 64 * 1024

_NOTHING: Final = (b"", b"null", b"[]")


class _Tools(msgspec.Struct):
    """Every field raw: what is odd about them is for the model server to say."""

    tools: msgspec.Raw = msgspec.Raw()
    tool_choice: msgspec.Raw = msgspec.Raw()
    functions: msgspec.Raw = msgspec.Raw()
    function_call: msgspec.Raw = msgspec.Raw()


_decode_tools = msgspec.json.Decoder(_Tools).decode


def beginning(body: bytes) -> bytes | None:
    """The fields of a chat request which its prompt begins with, as a JSON object: `messages`, the leading ones, and
    `tools` or `functions`, all in the bytes that they came in. None if there are none, if they take more than 64 KiB,
    or if this is no chat request."""
    seen = opening(body) if len(body) <= BODY_BYTES else None
    if seen is None:
        return None
    tools = _tools(body)
    if not seen.leading and not tools:
        return None
    messages = b"[%b]" % b",".join(seen.leading)
    found = msgspec.json.encode({"messages": msgspec.Raw(messages), **tools})
    return found if len(found) <= _BEGINNING_BYTES else None


def _tools(body: bytes) -> dict[str, msgspec.Raw]:
    """What the model is told that it may call. Where a request has both kinds, the newer one counts."""
    fields = _decode_tools(body)
    if bytes(fields.tools) not in _NOTHING:
        return {} if bytes(fields.tool_choice) == b'"none"' else {"tools": fields.tools}
    if bytes(fields.functions) not in _NOTHING:
        return {} if bytes(fields.function_call) == b'"none"' else {"functions": fields.functions}
    return {}
