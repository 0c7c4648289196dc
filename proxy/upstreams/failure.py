"""What it means for an attempt to fail, and the one way to bound how long it may take."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from proxy.core.outcome import Kind, Outcome
from proxy.errors import HotspareError

T = TypeVar("T")


class AttemptFailed(HotspareError):
    """An exchange did not give an answer. Carries its Outcome, so that nobody has to guess from the text."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(f"{outcome.kind} {outcome.detail}".strip())
        self.outcome = outcome


async def bounded(seconds: float, kind: Kind, awaitable: Awaitable[T]) -> T:
    """Await with a limit; past it the attempt has failed with `kind`."""
    try:
        async with asyncio.timeout(max(seconds, 0.0)):
            return await awaitable
    except TimeoutError:
        raise AttemptFailed(Outcome(kind)) from None
