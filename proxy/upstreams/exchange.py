"""An answer for coroutines: its head, and its body as it is asked for."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Self

from multidict import CIMultiDict

from proxy.core.outcome import Kind, Outcome
from proxy.upstreams.dispatch import Dispatch
from proxy.upstreams.failure import AttemptFailed
from proxy.wire.http1 import ResponseHead

BUFFER_BYTES = 2**18
"""How much of a body may wait for its reader before the upstream has to. One read more can come on top."""


class Inbox:
    """A sink that keeps what comes until a coroutine asks for it."""

    def __init__(self) -> None:
        self._dispatch: Dispatch | None = None
        self._head: ResponseHead | None = None
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._is_paused = False
        self._is_ended = False
        self._failure: Outcome | None = None
        self._waiter: asyncio.Future[None] | None = None

    # ---- Sink

    def head(self, head: ResponseHead) -> None:
        """The head has come."""
        self._head = head
        self._wake()

    def whole(self, head: ResponseHead, body: bytes) -> None:
        """All of it has come at once."""
        self._pieces.append(body)
        self._size += len(body)
        self._is_ended = True
        self.head(head)

    def body(self, data: bytes) -> None:
        """Some of the body has come."""
        self._pieces.append(data)
        self._size += len(data)
        if self._size > BUFFER_BYTES and not self._is_paused and self._dispatch is not None:
            self._is_paused = True
            self._dispatch.pause_reading()
        self._wake()

    def end(self) -> None:
        """All of it has come."""
        self._is_ended = True
        self._wake()

    def failed(self, outcome: Outcome) -> None:
        """No more will come."""
        self._failure = outcome
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # ---- its reader

    async def open(self, dispatch: Dispatch) -> ResponseHead:
        """Wait for the head of the answer to `dispatch`. Raises AttemptFailed."""
        self._dispatch = dispatch
        while self._head is None:
            await self._news()
        return self._head

    async def next(self) -> bytes:
        """What has come of the body since the last call, waiting for it; empty at its end. Raises AttemptFailed, but
        only after all that came before the failure.
        """
        while not self._pieces and not self._is_ended:
            await self._news()
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        if self._is_paused and self._dispatch is not None:
            self._is_paused = False
            self._dispatch.resume_reading()
        return data

    async def _news(self) -> None:
        if self._failure is not None:
            raise AttemptFailed(self._failure)
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def close(self) -> None:
        """Cut the exchange if it has not ended. Who goes on reading is told that it was cut."""
        if self._dispatch is not None:
            self._dispatch.cancel()
        if not self._is_ended and self._failure is None:
            self.failed(Outcome(Kind.CUT, self._head.status if self._head else None, detail="closed"))


class Exchange:
    """The head of an answer, and its body as it comes. Leave the context to free the connection: a body that has come
    to its end has given it back already, any other one cuts it, which is what tells the upstream to stop.
    """

    def __init__(self, head: ResponseHead, inbox: Inbox) -> None:
        self._inbox = inbox
        self.status = head.status
        self.fields = head.fields
        self.headers: Mapping[str, str] = CIMultiDict(self.fields)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Cut the connection if the answer has not ended."""
        self._inbox.close()

    @property
    def content_type(self) -> str:
        """The media type without parameters, in lower case."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises AttemptFailed(CUT) if it ends before its framing says so."""
        while chunk := await self._inbox.next():
            yield chunk

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body. Raises AttemptFailed: CUT, or BAD_ANSWER when it is larger than the limit."""
        parts = bytearray()
        async for chunk in self.chunks():
            parts += chunk
            if len(parts) > limit_bytes:
                raise AttemptFailed(Outcome(Kind.BAD_ANSWER, self.status, detail="answer too large"))
        return bytes(parts)
