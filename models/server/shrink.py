"""A conversation that is too long for the context, made to fit: better than no answer when the cloud is gone. Pure.

What steers the answer is kept: the system's words at the beginning, and the end of the conversation. What goes first is
the oldest of what lies between; then the middle of texts that are too long by themselves, since the question about a
long text stands before it or behind it.
"""

from collections.abc import Callable
from typing import Final

from models.server.messages import Turn, text_of

ELLIPSIS: Final = "\n[…]\n"

_FRAME_TOKENS: Final = 8
"""About so many a template puts around a message."""

_STEERING: Final = "system"


def shrunk(messages: list[Turn], room_tokens: int, count: Callable[[str], int]) -> list[Turn]:
    """The messages that fit into about `room_tokens`; `count` says how many a text takes.

    Calls of tools stay together with their results. What cannot fit by any means is cut as far as it goes: the caller
    has to look.
    """
    first = _steering(messages)
    head, rest = messages[:first], _exchanges(messages[first:])
    sizes = [sum(_size(turn, count) for turn in exchange) for exchange in rest]
    left = room_tokens - sum(_size(turn, count) for turn in head) - sum(sizes[-1:])
    kept = rest[-1:]
    for exchange, size in zip(reversed(rest[:-1]), reversed(sizes[:-1]), strict=True):
        if size > left:
            break
        kept.insert(0, exchange)
        left -= size
    chosen = [*head, *(turn for exchange in kept for turn in exchange)]
    return chosen if left >= 0 else _cut(chosen, [_size(turn, count) for turn in chosen], room_tokens)


def _size(turn: Turn, count: Callable[[str], int]) -> int:
    return count(text_of(turn)) + _FRAME_TOKENS


def _exchanges(messages: list[Turn]) -> list[list[Turn]]:
    """What stays or goes together: a message; or calls of tools with their results, which mean nothing without them.

    A prefix of the answer goes with what is answered.
    """
    exchanges: list[list[Turn]] = []
    for message in messages:
        is_behind = message["role"] == "tool" or "prefix" in message
        if is_behind and exchanges:
            exchanges[-1].append(message)
        else:
            exchanges.append([message])
    return exchanges


def _steering(messages: list[Turn]) -> int:
    """How many messages of the system's there are at the very beginning; the last message is none of them."""
    indices = range(len(messages) - 1)
    return next((index for index in indices if messages[index]["role"] != _STEERING), len(indices))


def _cut(messages: list[Turn], sizes: list[int], room_tokens: int) -> list[Turn]:
    """Give every text as much as there is for each; what the short ones do not need goes to the long ones."""
    share = _level(sizes, room_tokens)
    return [
        message if size <= share or "prefix" in message else _shortened(message, share / size)
        for message, size in zip(messages, sizes, strict=True)
    ]


def _shortened(message: Turn, share: float) -> Turn:
    return {**message, "content": _without_middle(message["content"], share)}


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
