"""One streamed answer as it comes in: which bytes at what time, and what they say. Pure: the time is an argument."""

from dataclasses import dataclass, field
from itertools import pairwise
from math import nan

import msgspec

_DATA = b"data:"
_DONE = b"[DONE]"


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None

    @property
    def has_content(self) -> bool:
        return bool(self.content or self.reasoning_content or self.reasoning)


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Event(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: object = None


_decode = msgspec.json.Decoder(_Event).decode


@dataclass(slots=True)
class Answer:
    """An answer to a request sent at `sent_at`, so far. Instants in seconds, of one clock.

    `content_at` is when each piece of content came. `fault` says why this will be no whole answer.
    """

    sent_at: float = nan
    ended_at: float = nan
    content_at: list[float] = field(default_factory=list)
    finish_reason: str | None = None
    fault: str | None = None
    _usage: _Usage = field(default_factory=_Usage)
    _line: bytes = b""

    def feed(self, data: bytes, now: float) -> None:
        """Takes what has come in by now, wherever it is cut."""
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            if line.startswith(_DATA):
                self._take(line[len(_DATA) :].strip(), now)

    def end(self, now: float, fault: str | None = None) -> None:
        """Nothing more will come. Without a finish_reason that is a fault in itself."""
        self.ended_at = now
        self.fault = self.fault or fault or (None if self.finish_reason else "ended without a finish_reason")

    def _take(self, data: bytes, now: float) -> None:
        if data == _DONE:
            return
        try:
            event = _decode(data)
        except msgspec.DecodeError as error:
            self.fault = f"not an event of a completion: {error}"
            return
        if event.error:
            self.fault = f"error in the stream: {event.error}"
        self._usage = event.usage or self._usage
        for choice in event.choices:
            if choice.delta and choice.delta.has_content:
                self.content_at.append(now)
            self.finish_reason = choice.finish_reason or self.finish_reason

    @property
    def is_whole(self) -> bool:
        """Whether it has come to an end as it should."""
        return self.fault is None and self.finish_reason is not None

    @property
    def prompt_tokens(self) -> int:
        """What the server counted; 0 if it did not say."""
        return self._usage.prompt_tokens

    @property
    def output_tokens(self) -> int:
        """What the server counted, or else the pieces of content."""
        return self._usage.completion_tokens or len(self.content_at)

    @property
    def ttft_seconds(self) -> float:
        """From the request to the first content; NaN if there was none."""
        return self.content_at[0] - self.sent_at if self.content_at else nan

    @property
    def gaps_seconds(self) -> list[float]:
        """The times between pieces of content."""
        return [after - before for before, after in pairwise(self.content_at)]

    def longest_pause_seconds(self, since: float) -> float:
        """The longest gap that ended after that instant, NaN if there was none."""
        return max((after - before for before, after in pairwise(self.content_at) if after > since), default=nan)
