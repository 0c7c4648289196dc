"""One client of the real SDK, who asks, and says what came of it.

Nobody retries (`max_retries=0`): whatever goes wrong is seen.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum

from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionChunk

from tests.fakes.steps import DEFAULT_WORDS
from tests.running import MODEL

_log = logging.getLogger(__name__)

DEADLINE_SECONDS = 20.0
"""Of a request. Whoever waits longer has seen a hang. In it a model server that was killed has to be back."""

CHAT_MODEL = "gpt-4o"
TEXT_MODEL = "gpt-3.5-turbo-instruct"
"""Asked through the older endpoint, as a model of its kind has to be."""

_MAX_TOKENS = 4
"""One more for the local model than the cloud delivers before its streams break, and one to spare."""
_CLOUDS_ANSWER = "".join(DEFAULT_WORDS[:_MAX_TOKENS])
_PATIENCE_SECONDS = 60.0
"""The SDK's own limit. It tells the proxy, so it has to be longer than the proxy's."""


class Source(Enum):
    """Whose words a client has read."""

    CLOUD = "the cloud's"
    LOCAL = "the local model's"
    BOTH = "the cloud's, then the local model's"


@dataclass(frozen=True, slots=True)
class Seen:
    """What one request came to. One of `source` and `error` is set."""

    person: "Person"
    source: Source | None = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """A client with a conversation of its own."""

    number: int
    model: str = CHAT_MODEL

    @property
    def is_streaming(self) -> bool:
        """Every second one does."""
        return self.number % 2 == 0

    async def ask(self, client: AsyncOpenAI) -> Seen:
        """Ask once. Never raises."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                return Seen(self, await self._ask(client))
        except Exception as error:  # noqa: BLE001 - whatever a client sees is what is tested
            _log.warning("%s saw %r", self, error)
            return Seen(self, error=error)

    async def _ask(self, client: AsyncOpenAI) -> Source:
        if self.model == TEXT_MODEL:
            return await (self._stream_text(client) if self.is_streaming else self._text(client))
        return await (self._stream_chat(client) if self.is_streaming else self._chat(client))

    @property
    def _words(self) -> str:
        return f"Say hello to number {self.number}."

    @property
    def _beginning(self) -> str:
        """To be gone on with: a prompt that is whole may be answered with nothing at all, which is legal, too."""
        return f"Hello, my name is number {self.number} and I"

    async def _chat(self, client: AsyncOpenAI) -> Source:
        answer = await client.chat.completions.create(
            model=self.model,
            messages=[{"role": "user", "content": self._words}],
            max_tokens=_MAX_TOKENS,
            temperature=0,
        )
        choice = answer.choices[0]
        assert choice.finish_reason, "incomplete"
        return _source([answer.model], choice.message.content or "")

    async def _stream_chat(self, client: AsyncOpenAI) -> Source:
        stream = await client.chat.completions.create(
            model=self.model,
            messages=[{"role": "user", "content": self._words}],
            max_tokens=_MAX_TOKENS,
            temperature=0,
            stream=True,
        )
        chunks = [chunk async for chunk in stream]
        _check_is_legal(chunks)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        return _source([chunk.model for chunk in chunks], text)

    async def _text(self, client: AsyncOpenAI) -> Source:
        answer = await client.completions.create(
            model=self.model, prompt=self._beginning, max_tokens=_MAX_TOKENS, temperature=0
        )
        assert answer.choices[0].finish_reason, "incomplete"
        return _source([answer.model], answer.choices[0].text)

    async def _stream_text(self, client: AsyncOpenAI) -> Source:
        stream = await client.completions.create(
            model=self.model, prompt=self._beginning, max_tokens=_MAX_TOKENS, temperature=0, stream=True
        )
        chunks = [chunk async for chunk in stream]
        assert [bool(chunk.choices[0].finish_reason) for chunk in chunks].count(True) == 1, "not finished once"
        return _source([chunk.model for chunk in chunks], "".join(chunk.choices[0].text for chunk in chunks))


def _check_is_legal(chunks: Sequence[ChatCompletionChunk]) -> None:
    """One stream, however many have written it."""
    assert len({(chunk.id, chunk.created) for chunk in chunks}) == 1, "not one stream"
    choices = [chunk.choices[0] for chunk in chunks]
    assert [choice.delta.role for choice in choices].count("assistant") == 1, "not one role"
    assert [bool(choice.finish_reason) for choice in choices].count(True) == 1, "not finished once"
    assert choices[-1].finish_reason, "something came after the finish"


def _source(models: Sequence[str], text: str) -> Source:
    """Who has written it; only a whole answer counts."""
    writers = {model == MODEL for model in models}
    if writers == {False}:
        assert text == _CLOUDS_ANSWER, f"not all of the cloud's answer: {text!r}"
        return Source.CLOUD
    assert text, f"nothing was said by {models}"
    if writers == {True}:
        return Source.LOCAL
    assert any(text.startswith("".join(DEFAULT_WORDS[:cut])) for cut in range(1, _MAX_TOKENS)), f"lost: {text!r}"
    return Source.BOTH


@asynccontextmanager
async def sdk(base_url: str) -> AsyncIterator[AsyncOpenAI]:
    """What all of them ask through."""
    async with AsyncOpenAI(base_url=base_url, api_key="sk-client", max_retries=0, timeout=_PATIENCE_SECONDS) as client:
        yield client


async def ask_at_once(client: AsyncOpenAI, people: Sequence[Person]) -> list[Seen]:
    """Everybody asks in the same moment."""
    return list(await asyncio.gather(*(person.ask(client) for person in people)))


def errors(seen: Sequence[Seen]) -> list[Exception]:
    """What nobody should ever see."""
    return [one.error for one in seen if one.error is not None]
