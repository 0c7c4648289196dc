"""What OpenAI's API document says of answers, as far as they are ours to give, and a check against it.

Written down from CreateChatCompletionResponse, CreateChatCompletionStreamResponse, CreateCompletionResponse and Error.
A shape is a type or several, `"x"` for that text, a list for any number of items, a tuple for one
of several shapes, and a dict for an object: `key?` may be left out, and there are no other keys.
"""

from collections.abc import Iterator
from typing import Any, Final

_SCORE: Final = {"token": str, "logprob": float, "bytes": ([int], None)}
_LOGPROBS: Final = {"content": ([{**_SCORE, "top_logprobs": [_SCORE]}], None), "refusal": None}
_USAGE: Final = {
    "prompt_tokens": int,
    "completion_tokens": int,
    "total_tokens": int,
    "prompt_tokens_details": {"cached_tokens": int, "audio_tokens": int},
    "completion_tokens_details": {
        "reasoning_tokens": int,
        "audio_tokens": int,
        "accepted_prediction_tokens": int,
        "rejected_prediction_tokens": int,
    },
}
_FUNCTION: Final = {"name": str, "arguments": str}
_FINISH: Final = ("stop", "length", "tool_calls", "content_filter", "function_call")
_HEAD: Final = {"id": str, "created": int, "model": str}

SHAPES: Final[dict[str, Any]] = {
    "chat": {
        **_HEAD,
        "object": "chat.completion",
        "choices": [
            {
                "index": int,
                "finish_reason": _FINISH,
                "logprobs": (_LOGPROBS, None),
                "message": {
                    "role": "assistant",
                    "content": (str, None),
                    "refusal": (str, None),
                    "tool_calls?": [{"id": str, "type": "function", "function": _FUNCTION}],
                    "function_call?": _FUNCTION,
                },
            }
        ],
        "usage": _USAGE,
    },
    "chunk": {
        **_HEAD,
        "object": "chat.completion.chunk",
        "choices": [
            {
                "index": int,
                "finish_reason": (*_FINISH, None),
                "logprobs": (_LOGPROBS, None),
                "delta": {
                    "role?": "assistant",
                    "content?": (str, None),
                    "tool_calls?": [
                        {
                            "index": int,
                            "id?": str,
                            "type?": "function",
                            "function": {"name?": str, "arguments": str},
                        }
                    ],
                    "function_call?": {"name?": str, "arguments": str},
                },
            }
        ],
        "usage?": (_USAGE, None),
    },
    "text": {
        **_HEAD,
        "object": "text_completion",
        "choices": [
            {
                "index": int,
                "text": str,
                "finish_reason": ("stop", "length", "content_filter"),
                "logprobs": (
                    {
                        "tokens": [str],
                        "token_logprobs": [float],
                        "top_logprobs": [dict],
                        "text_offset": [int],
                    },
                    None,
                ),
            }
        ],
        "usage": _USAGE,
    },
    "error": {"error": {"message": str, "type": str, "param": (str, None), "code": (str, None)}},
}


def faults(name: str, value: object) -> list[str]:
    """Where a value differs from the shape of that name."""
    return list(_faults(SHAPES[name], value, name))


def _faults(shape: Any, value: object, where: str) -> Iterator[str]:
    if isinstance(shape, tuple):
        if all(list(_faults(one, value, where)) for one in shape):
            yield f"{where}: {value!r} has none of the shapes"
    elif isinstance(shape, dict) and isinstance(value, dict):
        yield from _faults_of_object(shape, value, where)
    elif isinstance(shape, list) and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _faults(shape[0], item, f"{where}[{index}]")
    elif not (isinstance(value, shape) if isinstance(shape, type) else value == shape and type(value) is type(shape)):
        yield f"{where}: {value!r}"


def _faults_of_object(shape: dict[str, Any], value: dict[str, Any], where: str) -> Iterator[str]:
    known = {key.removesuffix("?"): (one, key.endswith("?")) for key, one in shape.items()}
    yield from (f"{where}.{key} is unknown" for key in value.keys() - known.keys())
    for key, (one, is_optional) in known.items():
        if key in value:
            yield from _faults(one, value[key], f"{where}.{key}")
        elif not is_optional:
            yield f"{where}.{key} is missing"
