"""The application on the other side of the proxy: asks, and takes down what comes and when."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import msgspec

from proxy.clock import Clock
from proxy.demo.story import CLOUD_MODEL, Answer, Piece
from proxy.wire import completion, sse

_MAX_TOKENS = 90
_STOP = "\n\n"
"""A paragraph, over in seconds on a small CPU."""

Hear = Callable[[Piece], None]

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Application:
    """Any OpenAI client would do. `base_url` is the proxy's, with /v1."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, clock: Clock) -> None:
        self._session = session
        self._url = f"{base_url}/chat/completions"
        self._clock = clock

    async def ask(self, question: str, hear: Hear) -> Answer:
        """Stream an answer; `hear` is told of each piece as it comes. What fails stands in the answer."""
        answer = Answer(self._clock.monotonic())
        try:
            async with self._session.post(self._url, json=_body(question)) as response:
                answer.headers = {
                    name.lower(): value for name, value in response.headers.items() if name.lower().startswith("x-")
                }
                if response.status != 200:
                    answer.error = f"{response.status}: {await response.text()}"
                async for data in _payloads(response):
                    self._take(data, answer, hear)
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError) as error:
            answer.error = f"{type(error).__name__}: {error}"
        answer.seconds = self._clock.monotonic() - answer.asked_at
        return answer

    def _take(self, data: bytes, answer: Answer, hear: Hear) -> None:
        if data == completion.DONE:
            answer.is_done = True
            return
        chunk = _decode(data)
        if "error" in chunk:
            answer.error = str(chunk["error"].get("message"))
        for choice in chunk.get("choices") or ():
            if text := choice["delta"].get("content"):
                answer.pieces.append(Piece(self._clock.monotonic() - answer.asked_at, text, chunk["model"]))
                hear(answer.pieces[-1])
            answer.finish_reason = choice.get("finish_reason") or answer.finish_reason


def _body(question: str) -> dict[str, Any]:
    return {
        "model": CLOUD_MODEL,
        "messages": [{"role": "user", "content": question}],
        "max_tokens": _MAX_TOKENS,
        "stop": _STOP,
        "temperature": 0,
        "stream": True,
    }


async def _payloads(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    reader = sse.EventReader()
    async for data in response.content.iter_any():
        for payload in sse.payloads(reader.feed(data)):
            yield payload
