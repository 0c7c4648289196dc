"""A worker's questions to the fleet: each has a number, and its answer the same."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Generic, TypeVar

from proxy.workers.messages import Message

A = TypeVar("A")


class Questions(Generic[A]):
    """Those that wait for an answer of one kind. `send` is the way to the fleet."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._send = send
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[A]] = {}

    async def ask(self, question: Callable[[int], Message], limit_seconds: float) -> A:
        """Put the question that is made of a number, and wait for its answer. Raises TimeoutError."""
        number = next(self._numbers)
        asked: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._asked[number] = asked
        self._send(question(number))
        try:
            async with asyncio.timeout(limit_seconds):
                return await asked
        finally:
            del self._asked[number]

    def answer(self, number: int, answer: A) -> None:
        """The answer has come; nobody may wait for it any more."""
        asked = self._asked.get(number)
        if asked and not asked.done():
            asked.set_result(answer)
