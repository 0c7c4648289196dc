"""One request's sequences, seen from the event loop."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from models.engine.event import Ended, Event, Failed
from models.engine.loop import Engine
from models.engine.params import SamplingParams


@dataclass(frozen=True, slots=True)
class Ask:
    """One choice to be generated."""

    tokens: list[int]
    params: SamplingParams


@dataclass(frozen=True, slots=True)
class Terms:
    """For whom, and for how long it may wait.

    Attributes:
        client: the fairness key.
        deadline_at: monotonic seconds, None for no limit.

    """

    client: str
    deadline_at: float | None


class Generation:
    """Submits a request's choices and cancels whatever still runs when the request is over, however it ends.

    Use as an async context manager; raises EngineFailed on entry if the engine is gone.
    """

    def __init__(self, engine: Engine[Any], asks: Mapping[int, Ask], terms: Terms) -> None:
        self._engine = engine
        self._asks = asks
        self._terms = terms
        # Unbounded: what a sequence can say is bounded by the context, and the engine must never wait for a reader.
        self._events: asyncio.Queue[tuple[int, Event]] = asyncio.Queue()
        self._ids: list[int] = []

    async def __aenter__(self) -> Self:
        for index, ask in self._asks.items():
            self._ids.append(self._submit(index, ask))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for sequence_id in self._ids:
            self._engine.cancel(sequence_id)

    async def events(self) -> AsyncIterator[tuple[int, Event]]:
        """(choice, event) as they come, until all choices have ended.

        Raises:
            EngineError: one of them failed; the others are not waited for.

        """
        remaining = len(self._asks)
        while remaining:
            index, event = await self._events.get()
            if isinstance(event, Failed):
                raise event.error
            yield index, event
            remaining -= isinstance(event, Ended)

    def _submit(self, index: int, ask: Ask) -> int:
        def sink(event: Event) -> None:
            self._events.put_nowait((index, event))

        return self._engine.submit(
            ask.tokens, ask.params, sink, client=self._terms.client, deadline_at=self._terms.deadline_at
        )
