"""Clients of our own, where there are no others: streamed and unstreamed requests in turn, each answer looked at."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec

from proxy.drill.options import Options
from proxy.wire import sse

_PAUSE_SECONDS = 0.5
"""Between two requests of a client: where no drill holds them back, they cost money."""
_TIMEOUT = aiohttp.ClientTimeout(total=150)
_decode = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(slots=True)
class Traffic:
    """What the clients have seen."""

    session: aiohttp.ClientSession
    options: Options
    answered: int = 0
    failures: list[str] = field(default_factory=list)
    failed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set with the first failure."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """All clients ask while the context lasts; what is under way at its end is cut."""
        tasks = [asyncio.create_task(self._client()) for _ in range(self.options.clients)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _client(self) -> None:
        is_stream = True
        while True:
            problem = await self._ask(is_stream=is_stream)
            if problem:
                self.failures.append(problem)
                self.failed.set()
            else:
                self.answered += 1
            is_stream = not is_stream
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _ask(self, *, is_stream: bool) -> str:
        """Ask once; what is wrong with the answer, empty if nothing is."""
        url, body = f"{self.options.proxy}/v1/chat/completions", _body(self.options.model, is_stream=is_stream)
        fields = {"Authorization": f"Bearer {self.options.key}"}
        try:
            async with self.session.post(url, json=body, headers=fields, timeout=_TIMEOUT) as answer:
                data = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            return f"{type(error).__name__}: {error}"
        if answer.status != 200:
            return f"status {answer.status}: {data[:200].decode('utf-8', 'replace')}"
        return stream_fault(data) if is_stream else whole_fault(data)


def _body(model: str, *, is_stream: bool) -> Mapping[str, Any]:
    messages = [{"role": "user", "content": "In one sentence: why do ships have lifeboats?"}]
    return {"model": model, "messages": messages, "max_tokens": 32, "stream": is_stream}


def stream_fault(data: bytes) -> str:
    """What is wrong with a whole stream; empty if nothing is."""
    payloads = list(sse.payloads(data))
    if payloads[-1:] != [b"[DONE]"]:
        return "a stream without [DONE]"
    try:
        chunks = [_decode(payload) for payload in payloads[:-1]]
    except msgspec.DecodeError:
        return "an event that is no JSON"
    if any("error" in chunk for chunk in chunks):
        return "a stream with an error in it"
    reasons = [choice.get("finish_reason") for chunk in chunks for choice in chunk.get("choices") or ()]
    return "" if any(reasons) else "a stream without finish_reason"


def whole_fault(data: bytes) -> str:
    """What is wrong with an unstreamed answer; empty if nothing is."""
    try:
        return "" if _decode(data).get("choices") else "an answer without choices"
    except msgspec.DecodeError:
        return "an answer that is no JSON"
