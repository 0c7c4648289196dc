"""A conversation that is too long for the context, made to fit: better than no answer when the cloud is gone. Pure.

What steers the answer is kept: the system's words at the beginning, and the end of the conversation. What goes first is
the oldest of what lies between; then the middle of texts that are too long by themselves, since the question about a
long text stands before it or behind it.
"""

from collections.abc import Callable
from typing import Final

Message = dict[str, str]

ELLIPSIS: Final = "\n[…]\n"

_FRAME_TOKENS: Final = 8
"""About so many a template puts around a message."""

_STEERING: Final = "system"


def shrunk(messages: list[Message], room_tokens: int, count: Callable[[str], int]) -> list[Message]:
    """The messages that fit into about `room_tokens`; `count` says how many a text takes.

    What cannot fit by any means is cut as far as it goes: the caller has to look.
    """
    sizes = [count(message["content"]) + _FRAME_TOKENS for message in messages]
    kept = _steering(messages) | {len(messages) - 1}
    left = room_tokens - sum(sizes[index] for index in kept)
    for index in reversed(range(len(messages) - 1)):
        if index in kept:
            continue
        if sizes[index] > left:
            break
        kept.add(index)
        left -= sizes[index]
    chosen = [messages[index] for index in sorted(kept)]
    return chosen if left >= 0 else _cut(chosen, [sizes[index] for index in sorted(kept)], room_tokens)


def _steering(messages: list[Message]) -> set[int]:
    """The system's messages at the very beginning."""
    indices = range(len(messages))
    end = next((index for index in indices if messages[index]["role"] != _STEERING), len(messages))
    return set(range(end))


def _cut(messages: list[Message], sizes: list[int], room_tokens: int) -> list[Message]:
    """Give every text as much as there is for each; what the short ones do not need goes to the long ones."""
    share = _level(sizes, room_tokens)
    return [
        message if size <= share else {**message, "content": _without_middle(message["content"], share / size)}
        for message, size in zip(messages, sizes, strict=True)
    ]


def _level(sizes: list[int], room: int) -> float:
    """The height at which all sizes have to be cut off so that they fill the room."""
    left, height = float(room), 0.0
    for number, size in enumerate(sorted(sizes)):
        height = left / (len(sizes) - number)
        if size > height:
            return max(height, 0.0)
        left -= size
    return height


def _without_middle(text: str, share: float) -> str:
    half = max(int(len(text) * share - len(ELLIPSIS)), 0) // 2
    return text[:half] + ELLIPSIS + text[len(text) - half :]
