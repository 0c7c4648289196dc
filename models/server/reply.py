"""What a generation says, written to the client: whole, or as a stream.

A stream's status line goes out when its first choice leaves the queue: until then it can still be refused by status.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from models.engine.event import Ended, Event, Piece, Started
from models.errors import EngineError
from models.server import wire
from models.server.answer import Answer, Part
from models.server.generation import Generation


@dataclass(frozen=True, slots=True)
class Reply:
    """How one request is answered.

    Attributes:
        form: the shape.
        answers: reads each choice, by index.
        before: what the request cost before anything was generated.
        choices: how many answers each prompt has.
        notes: header lines.

    """

    form: wire.Form
    answers: Mapping[int, Answer]
    before: wire.Usage
    choices: int
    notes: Mapping[str, str]

    async def whole(self, generation: Generation) -> web.Response:
        """Wait for all choices, then tell them.

        Raises:
            EngineError: one of them failed.

        """
        told = {index: wire.Choice() for index in sorted(self.answers)}
        ends: dict[int, Ended] = {}
        async for index, event in generation.events():
            self._collect(told[index], index, event)
            if isinstance(event, Ended):
                ends[index] = event
        return web.Response(
            body=self.form.body(told, self._usage(ends)), headers=self.notes, content_type="application/json"
        )

    async def stream(self, request: web.Request, generation: Generation, *, with_usage: bool) -> web.StreamResponse:
        """Tell the choices as they grow.

        Raises:
            EngineError: one of them failed before anything was told.

        """
        response = web.StreamResponse(headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no", **self.notes})
        response.content_type = "text/event-stream"
        # A client that leaves while this writes: aiohttp cancels, but perhaps not before the next write has failed.
        with contextlib.suppress(ConnectionResetError):
            ends = await self._tell(request, response, generation)
            if ends is not None:
                await response.write((self.form.usage(self._usage(ends)) if with_usage else b"") + wire.DONE)
            await response.write_eof()
        return response

    async def _tell(
        self, request: web.Request, response: web.StreamResponse, generation: Generation
    ) -> dict[int, Ended] | None:
        """Write what happens, up to the end of all choices; returns their ends, or None if the stream broke off."""
        ends: dict[int, Ended] = {}
        try:
            async for index, event in generation.events():
                if not response.prepared:
                    await response.prepare(request)
                if data := self._told(index, event):
                    await response.write(data)
                if isinstance(event, Ended):
                    ends[index] = event
        except EngineError as error:
            if not response.prepared:
                raise
            await response.write(wire.error_event(error))
            return None
        return ends

    def _told(self, index: int, event: Event) -> bytes:
        answer = self.answers[index]
        match event:
            case Started():
                return self.form.opening(index) + self._parts(index, answer.begin())
            case Piece():
                return self._parts(index, answer.take(event))
            case Ended(finish):
                return self._parts(index, answer.end(finish)) + self.form.finish(index, answer.reason(finish))
            case _:
                return b""

    def _parts(self, index: int, parts: list[Part]) -> bytes:
        return b"".join(self.form.part(index, part) for part in parts)

    def _collect(self, choice: wire.Choice, index: int, event: Event) -> None:
        answer = self.answers[index]
        match event:
            case Started():
                parts = answer.begin()
            case Piece():
                parts = answer.take(event)
            case Ended(finish):
                parts, choice.finish_reason = answer.end(finish), answer.reason(finish)
            case _:
                parts = []
        for part in parts:
            choice.add(part)

    def _usage(self, ends: Mapping[int, Ended]) -> wire.Usage:
        """Of a prompt with several choices that counts as cached which none of them had to read."""
        cached: dict[int, int] = {}
        for index, end in ends.items():
            prompt = index // self.choices
            cached[prompt] = min(cached.get(prompt, end.cached_tokens), end.cached_tokens)
        return self.before.and_completed(
            sum(end.completion_tokens for end in ends.values()),
            sum(cached.values()),
            sum(self.answers[index].thought_tokens(end) for index, end in ends.items()),
        )
