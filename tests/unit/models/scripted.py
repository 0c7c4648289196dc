"""A backend that says what it is told to, and writes down what it is asked."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from models.engine.crew import Crew
from models.engine.event import Event, TokenScore, hand_out
from models.engine.loop import Engine
from models.engine.pace import Pace
from models.engine.params import SamplingParams
from models.engine.scheduler import Rules, Scheduler
from models.engine.step import Chunk, Layout
from models.errors import DecodeFailed

END = 0


@dataclass
class ScriptedBackend:
    """Tokens are code points of Latin-1; the answer to everything is `answer`, then END."""

    answer: str = "ok"
    codes: Iterator[int] = field(default_factory=lambda: iter(()))
    steps: list[list[Chunk]] = field(default_factory=list)
    forgotten: list[int] = field(default_factory=list)
    inherited: list[tuple[int, int, int]] = field(default_factory=list)
    samplers: int = 0
    rebuilt: int = 0
    threads: int = 0
    is_closed: bool = False

    def employ(self, threads: int) -> None:
        self.threads = threads

    def decode(self, chunks: list[Chunk]) -> list[int]:
        self.steps.append(chunks)
        if code := next(self.codes, 0):
            raise DecodeFailed(code)
        return [index for index, chunk in enumerate(chunks) if chunk.wants_token]

    def sampler(self, params: SamplingParams) -> Iterator[int]:
        self.samplers += 1
        return iter([*self.answer.encode(), END])

    def sample(self, sampler: Iterator[int], row: int) -> int:
        return next(sampler)

    def score(self, row: int, token: int, alternatives: int) -> TokenScore:
        return TokenScore(self.piece(token), -float(token), ((b"?", -1.0),) * alternatives)

    def release(self, sampler: Iterator[int]) -> None:
        self.samplers -= 1

    def forget(self, slot: int) -> None:
        self.forgotten.append(slot)

    def inherit(self, source: int, target: int, tokens: int) -> bool:
        self.inherited.append((source, target, tokens))
        return True

    def rebuild(self) -> None:
        self.rebuilt += 1

    def is_end(self, token: int) -> bool:
        return token == END

    def piece(self, token: int) -> bytes:
        return bytes([token])

    def close(self) -> None:
        self.is_closed = True


@dataclass
class Rig:
    """An engine whose thread is not started: the test turns it by hand."""

    backend: ScriptedBackend = field(default_factory=ScriptedBackend)
    queue_limit: int = 8
    step_tokens: int = 4
    parallel: int = 1
    now: float = 0.0
    seconds_per_step: float = 0.0
    crashes: int = 0

    def __post_init__(self) -> None:
        rules = Rules(self.parallel, self.queue_limit)
        scheduler = Scheduler(rules, Layout(self.parallel), Pace(self.step_tokens))
        self.engine = Engine(self.backend, scheduler, Crew(2), self._clock, hand_out, self._crashed)

    def _clock(self) -> float:
        """Time passes while the model reads: between the two looks at it that belong to one step."""
        self.now += self.seconds_per_step / 2
        return self.now

    def _crashed(self) -> None:
        self.crashes += 1

    def submit(
        self,
        prompt: int = 2,
        max_tokens: int = 99,
        stop: tuple[str, ...] = (),
        client: str = "",
        deadline_at: float | None = None,
        logprobs: int | None = None,
        healing: bytes = b"",
    ) -> tuple[int, list[Event]]:
        events: list[Event] = []
        params = SamplingParams(max_tokens=max_tokens, seed=0, stop=stop, logprobs=logprobs, healing=healing)
        tokens = [65] * prompt
        return self.engine.submit(tokens, params, events.append, client=client, deadline_at=deadline_at), events

    def turn(self, times: int) -> None:
        for _ in range(times):
            assert self.engine.turn()
