"""The clients' side of the wire: asks a server, over a connection for each request, and looks at the clock."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from time import perf_counter
from urllib.parse import urlsplit

import aiohttp

from tests.bench.serving.answer import Answer
from tests.bench.serving.prompt import Messages

_ERROR_LENGTH = 200
_ANY_MODEL = "default"


def base_url(text: str) -> str:
    """A server's address as people write it, with the `/v1` that they leave out. Raises ValueError."""
    url = urlsplit(text)
    if url.scheme not in ("http", "https") or not url.netloc:
        raise ValueError(f"not an http URL: {text}")
    return text.rstrip("/") if url.path.strip("/") else f"{text.rstrip('/')}/v1"


@dataclass(frozen=True, slots=True)
class Question:
    """A request: the messages and exactly how many tokens are wanted for an answer."""

    messages: Messages
    output_tokens: int

    def body(self, model: str) -> Mapping[str, object]:
        """The JSON. Servers that do not know `ignore_eos` may end earlier; they show it in their usage."""
        return {
            "model": model,
            "messages": self.messages,
            "max_tokens": self.output_tokens,
            "max_completion_tokens": self.output_tokens,
            "ignore_eos": True,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }


@dataclass(frozen=True, slots=True)
class Caller:
    """Where questions go: a server that is up, and its model."""

    session: aiohttp.ClientSession
    url: str
    model: str

    async def ask(self, question: Question, answer: Answer | None = None) -> Answer:
        """The answer, complete or with a fault; one that was handed in can be watched while it grows."""
        answer = answer or Answer()
        fault = None
        answer.sent_at = perf_counter()
        try:
            await self._receive(question, answer)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            fault = f"{type(error).__name__}: {error}"
        answer.end(perf_counter(), fault)
        return answer

    async def _receive(self, question: Question, answer: Answer) -> None:
        async with self.session.post(f"{self.url}/chat/completions", json=question.body(self.model)) as response:
            if response.status != HTTPStatus.OK:
                text = await response.text(errors="replace")
                answer.fault = f"status {response.status}: {text[:_ERROR_LENGTH]}"
                return
            async for data in response.content.iter_any():
                answer.feed(data, perf_counter())


@asynccontextmanager
async def calling(url: str, model: str | None, key: str | None, timeout_seconds: float) -> AsyncIterator[Caller]:
    """A caller of that server. Without the name of a model it takes the first that the server lists."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    timeout = aiohttp.ClientTimeout(total=timeout_seconds)
    # Clients of a burst are strangers to each other: none finds a connection that another one has opened.
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector) as session:
        yield Caller(session, url, model or await _first_model(session, url))


async def _first_model(session: aiohttp.ClientSession, url: str) -> str:
    try:
        async with session.get(f"{url}/models", raise_for_status=True) as response:
            return str((await response.json())["data"][0]["id"])
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError, LookupError):
        return _ANY_MODEL  # most servers have one model and take any name for it
