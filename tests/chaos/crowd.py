"""Clients that ask again and again for as long as an outage lasts."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from openai import AsyncOpenAI

from tests.chaos.person import Person, Seen, Source

PAUSE_SECONDS = 0.25
"""Between an answer and the next question: 16 people ask 50 times a second, and the machine has time for them."""


@dataclass(eq=False)
class Crowd:
    """The people, and all that they have seen."""

    client: AsyncOpenAI
    people: Sequence[Person]
    seen: list[Seen] = field(default_factory=list)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def go_on(self, person: Person) -> None:
        """One of them, until cancelled."""
        while True:
            one = await person.ask(self.client)
            async with self._changed:
                self.seen.append(one)
                self._changed.notify_all()
            await asyncio.sleep(PAUSE_SECONDS)

    async def until_all_see(self, source: Source, timeout_seconds: float = 20.0) -> None:
        """Wait until everybody has had one more answer from there. Raises TimeoutError."""
        start = len(self.seen)
        async with asyncio.timeout(timeout_seconds), self._changed:
            await self._changed.wait_for(lambda: set(self.people) <= _who_saw(source, self.seen[start:]))


def _who_saw(source: Source, seen: Iterable[Seen]) -> set[Person]:
    return {one.person for one in seen if one.source is source}


@asynccontextmanager
async def crowd(client: AsyncOpenAI, people: Sequence[Person]) -> AsyncIterator[Crowd]:
    """Everybody asks, from now to the end of the block."""
    gathered = Crowd(client, people)
    asking = [asyncio.create_task(gathered.go_on(person)) for person in people]
    try:
        yield gathered
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
