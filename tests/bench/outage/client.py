"""Somebody who asks, and writes down when he heard what."""

from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter
from typing import Any

import aiohttp

from proxy.wire import completion, sse

QUESTION: dict[str, Any] = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8}


@dataclass(frozen=True, slots=True)
class Heard:
    """One answer. `content_seconds` are the instants of its pieces of content, from the request on."""

    is_good: bool
    content_seconds: tuple[float, ...]

    @property
    def first_seconds(self) -> float:
        """To the first content; to all of it, where it was not streamed."""
        return self.content_seconds[0]

    @property
    def longest_gap_seconds(self) -> float:
        """Between two pieces; before the first one nobody had begun to read."""
        return max((after - before for before, after in pairwise(self.content_seconds)), default=0.0)


@dataclass(frozen=True, slots=True)
class Client:
    """`url` is an OpenAI-compatible server's, with /v1."""

    session: aiohttp.ClientSession
    url: str
    model: str = "gpt-4o"

    async def ask(self, *, is_stream: bool = True) -> Heard:
        """Ask once. Raises aiohttp.ClientError."""
        began_at = perf_counter()
        asked = QUESTION | {"model": self.model, "stream": is_stream}
        async with self.session.post(f"{self.url}/chat/completions", json=asked) as answer:
            if is_stream:
                return await _stream(answer, began_at)
            await answer.read()
            return Heard(answer.status == 200, (perf_counter() - began_at,))


async def _stream(answer: aiohttp.ClientResponse, began_at: float) -> Heard:
    reader, pieces, last = sse.EventReader(), list[float](), b""
    async for data in answer.content.iter_any():
        for last in sse.payloads(reader.feed(data)):
            if completion.glance(last).has_content:
                pieces.append(perf_counter() - began_at)
    return Heard(bool(pieces) and last == completion.DONE, tuple(pieces))
