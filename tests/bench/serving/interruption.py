"""A long prompt arrives among running streams: how long do they stand still?"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.bench.serving.answer import Answer
from tests.bench.serving.client import Caller, Question
from tests.bench.serving.figures import percentile
from tests.bench.serving.prompt import Kind, Scale, conversations

STREAMS = 4
CLIENTS = STREAMS + 1
# Long enough for streams to outlast a prefill of half a minute; they are cut off when they have served their purpose.
_STREAM_TOKENS = 1_000
_STREAM_PROMPT_TOKENS = 100
_LONG_OUTPUT_TOKENS = 8
# Before the long prompt comes, all streams are past their own prefill and have shown their usual pace.
_RUN_IN_PIECES = 16
_POLL_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Pause:
    """What the streams saw. NaN, and a fault, where the long prompt was refused or no stream outlived it.

    `longest_pause_seconds` is over all streams, from the arrival of the long prompt to the token after its first;
    `usual_gap_seconds` is the median before it; `long_ttft_seconds` is what the long prompt had to wait itself.
    """

    longest_pause_seconds: float
    usual_gap_seconds: float
    long_ttft_seconds: float
    long_prompt_tokens: int
    fault: str | None = None

    @classmethod
    def of(cls, streams: Sequence[Answer], long: Answer) -> "Pause":
        """From the streams, cut off or not, and the answer to the long prompt."""
        usual = [gap for answer in streams for gap in answer.gaps_seconds[: _RUN_IN_PIECES - 1]]
        pauses = [answer.longest_pause_seconds(long.sent_at) for answer in streams]
        return cls(
            longest_pause_seconds=percentile(pauses, 100),
            usual_gap_seconds=percentile(usual, 50),
            long_ttft_seconds=long.ttft_seconds,
            long_prompt_tokens=long.prompt_tokens,
            fault=_fault(streams, long),
        )


def _fault(streams: Sequence[Answer], long: Answer) -> str | None:
    if long.fault:
        return f"the long prompt: {long.fault}"
    broken = [answer.fault for answer in streams if answer.fault]
    if broken:
        return f"{len(broken)} of {len(streams)} streams: {broken[0]}"
    through_at = long.sent_at + long.ttft_seconds
    early = sum(answer.ended_at < through_at for answer in streams)
    return f"{early} of {len(streams)} streams ended before the long prompt was through" if early else None


async def measure(caller: Caller, scale: Scale, prompt_tokens: int, key: str) -> Pause:
    """One long prompt among the streams."""
    short = scale.size(_STREAM_PROMPT_TOKENS, _STREAM_PROMPT_TOKENS // 2)
    long = scale.size(prompt_tokens, _STREAM_PROMPT_TOKENS // 2)
    prompts = conversations(Kind.DISJOINT, short, STREAMS, key, "streams")
    prompt, *_ = conversations(Kind.DISJOINT, long, 1, key, "long")
    async with _streaming(caller, [Question(messages, _STREAM_TOKENS) for messages in prompts]) as streams:
        await streams.advance(_RUN_IN_PIECES)
        answer = await caller.ask(Question(prompt, _LONG_OUTPUT_TOKENS))
        # A stream that has not moved since is still pausing.
        await streams.advance(1)
    return Pause.of(streams.answers, answer)


@dataclass(frozen=True, slots=True)
class _Streams:
    """Answers that are coming in, and what brings them."""

    answers: Sequence[Answer]
    tasks: Sequence[asyncio.Task[Answer]]

    async def advance(self, pieces: int) -> None:
        """Returns when each stream has so many pieces more than now, or has ended."""
        wanted = [len(answer.content_at) + pieces for answer in self.answers]
        while not all(
            task.done() or len(answer.content_at) >= count
            for task, answer, count in zip(self.tasks, self.answers, wanted, strict=True)
        ):
            await asyncio.sleep(_POLL_SECONDS)


@asynccontextmanager
async def _streaming(caller: Caller, questions: Sequence[Question]) -> AsyncIterator[_Streams]:
    """Streams that run until the end of the block, which cuts them off."""
    answers = [Answer() for _ in questions]
    tasks = [
        asyncio.create_task(caller.ask(question, answer)) for question, answer in zip(questions, answers, strict=True)
    ]
    try:
        yield _Streams(answers, tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
