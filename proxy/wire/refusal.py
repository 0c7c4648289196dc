"""A refusal in a chat stream: a model that is bound to a schema declines in `delta.refusal`, not in `delta.content`.

Whoever goes on behind it is asked for an assistant's plain words, and says them as such. They are more of the refusal
(OpenAI API reference: chat.completion.chunk, `delta.refusal` and `logprobs.refusal`).
"""

from typing import Any

from proxy.wire.delivered import Unstitchable

_Fields = dict[str, Any]


def refused(row: _Fields, delta: _Fields) -> tuple[_Fields, _Fields]:
    """A choice of whoever goes on, and its delta, both as more of the refusal.

    Raises Unstitchable where it is anything but words.
    """
    words, more = delta.get("content"), delta.get("refusal")
    is_odd = bool(words) and (bool(more) or not isinstance(words, str))
    if is_odd or delta.get("tool_calls") or delta.get("function_call"):
        raise Unstitchable("something other than words follows a refusal")
    said = {name: value for name, value in delta.items() if name != "content"}
    return _scored(row), said | {"refusal": words} if words else said


def _scored(row: _Fields) -> _Fields:
    """With what is told of the words' tokens where clients look for it."""
    scores = row.get("logprobs")
    if not isinstance(scores, dict) or not scores.get("content"):
        return row
    return row | {"logprobs": scores | {"content": None, "refusal": scores["content"]}}
