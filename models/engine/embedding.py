"""The engine of a model that makes embeddings: many short texts in one step, long ones alone.

A text has to be read in one step, so there is nothing to schedule within it. Requests are cut into texts, those wait in
one line for each client (`FairQueue`), and a step takes as many as fit: a client that has a library embedded does not
keep another one's question waiting. A request is answered when its last text is.
"""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.engine.owner import Owner
from models.engine.queue import FairQueue, retry_after_seconds
from models.engine.snapshot import Snapshot
from models.errors import DecodeFailed, EngineFailed, ModelsError, Overloaded

Vectors: TypeAlias = NDArray[np.float32]

_STEP_TOKENS: Final = 512
"""So much is put together from several texts: it fills the processor, and nobody waits long for a step."""

_MEMORY: Final = 0.2
"""What the newest step weighs in the average of what a token costs."""


class EmbeddingBackend(Protocol):
    """What is needed of llama.cpp; `models.engine.llama.EmbeddingContext` is the real one."""

    batch_tokens: int
    """The largest step."""
    slots: int
    """The most texts of one."""

    def embed(self, texts: list[list[int]]) -> Vectors:
        """Vectors of length 1, shape (texts, width). Raises DecodeFailed."""

    def close(self) -> None:
        """Free it."""


@dataclass(slots=True, eq=False)
class Job:
    """One request.

    Attributes:
        client: the fairness key.
        texts: token ids; no text is empty, or longer than a step.
        deadline_at: monotonic seconds; if nothing of it has been read then, it is turned away. None waits for ever.
        future: gets the vectors, shape (texts, width), or an EngineError; may be cancelled by whoever waits.
        found: vectors by the number of their text.

    """

    client: str
    texts: list[list[int]]
    deadline_at: float | None
    future: Future[Vectors] = field(default_factory=Future)
    found: dict[int, Vectors] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        """Of all texts."""
        return sum(map(len, self.texts))

    def is_late(self, now: float) -> bool:
        """Whether its deadline has passed before anything of it was done."""
        return self.deadline_at is not None and not self.found and now >= self.deadline_at

    def add(self, number: int, vector: Vectors) -> None:
        """One text is done."""
        self.found[number] = vector
        if len(self.found) == len(self.texts):
            self._settle(lambda: self.future.set_result(np.stack([self.found[i] for i in range(len(self.texts))])))

    def fail(self, error: ModelsError) -> None:
        """There will be no answer."""
        self._settle(lambda: self.future.set_exception(error))

    def _settle(self, settle: Callable[[], None]) -> None:
        # From here on nobody can cancel it any more, so that there is no moment between the look and the deed.
        if not self.future.done() and self.future.set_running_or_notify_cancel():
            settle()


@dataclass(frozen=True, slots=True, eq=False)
class Text:
    """One of a request's texts, in line."""

    job: Job
    number: int

    @property
    def tokens(self) -> list[int]:
        """What is to be read."""
        return self.job.texts[self.number]

    @property
    def client(self) -> str:
        """Whom fairness counts it for."""
        return self.job.client

    @property
    def cost_tokens(self) -> int:
        """What it costs."""
        return len(self.tokens)

    @property
    def weight(self) -> float:
        """All clients are equal."""
        return 1.0


class EmbeddingEngine:
    """Takes requests from any thread and reads their texts on one.

    Args:
        backend: llama.cpp; owned by the engine from here on, and closed by it.
        queue_limit: how many requests may be open at once.
        clock: monotonic seconds.
        on_failure: called once, on the engine thread, if the engine dies of an error that nobody foresaw.

    """

    def __init__(
        self,
        backend: EmbeddingBackend,
        queue_limit: int,
        clock: Callable[[], float],
        on_failure: Callable[[], None],
    ) -> None:
        self._backend = backend
        self._queue_limit = queue_limit
        self._clock = clock
        self._owner: Owner[Job] = Owner(self.turn, self._close, on_failure)
        self._queue: FairQueue[Text] = FairQueue()
        self._open: list[Job] = []
        self._queued_tokens = 0
        self._token_seconds = 0.0
        self._read_tokens = 0
        self._step_started_at: float | None = None

    def start(self) -> None:
        """Start the owner thread."""
        self._owner.start()

    def stop(self, timeout: float) -> bool:
        """End everything and the thread; False if a step has not returned after `timeout` s."""
        return self._owner.stop(timeout)

    def submit(self, texts: list[list[int]], client: str = "", deadline_at: float | None = None) -> Future[Vectors]:
        """Queue a request; see `Job` for the arguments and for what becomes of the future.

        Raises:
            EngineFailed: the engine has died or is closing.

        """
        job = Job(client, texts, deadline_at)
        self._owner.put(job)
        return job.future

    def snapshot(self) -> Snapshot:
        """How busy the engine is; safe from any thread, and may be a step old."""
        started_at, jobs = self._step_started_at, len(self._open)
        is_reading = started_at is not None
        return Snapshot(
            running=int(is_reading),
            queued=max(jobs - is_reading, 0),
            step_age_seconds=0.0 if started_at is None else self._clock() - started_at,
            read_tokens=self._read_tokens,
        )

    def turn(self) -> bool:
        """Take all requests, then perform one step; False when told to stop. Blocks only while idle."""
        for job in self._owner.commands(is_idle=not self._queue):
            if job is None:
                return False
            self._admit(job)
        if texts := self._pack():
            self._perform(texts)
        self._open = [job for job in self._open if not job.future.done()]
        return True

    def _close(self, reason: EngineFailed, unread: list[Job]) -> None:
        for job in [*self._open, *unread]:
            job.fail(reason)
        self._backend.close()

    def _admit(self, job: Job) -> None:
        wait = self._token_seconds * self._queued_tokens
        late_at = self._clock() + wait + self._token_seconds * job.tokens
        if len(self._open) >= self._queue_limit:
            job.fail(Overloaded("too many requests wait for the local model", retry_after_seconds(wait)))
        elif job.deadline_at is not None and late_at > job.deadline_at:
            job.fail(Overloaded("the local model is too busy to answer in time", retry_after_seconds(wait)))
        else:
            self._open.append(job)
            self._queued_tokens += job.tokens
            for number in range(len(job.texts)):
                self._queue.push(Text(job, number))

    def _pack(self) -> list[Text]:
        """The texts of the next step: whose turn it is, and whatever fits beside."""
        packed: list[Text] = []
        room = min(_STEP_TOKENS, self._backend.batch_tokens)
        while (text := self._queue.peek()) is not None and len(packed) < self._backend.slots:
            is_void = self._is_void(text.job)
            if packed and not is_void and text.cost_tokens > room:
                break
            self._queued_tokens -= text.cost_tokens
            if is_void:
                self._queue.remove(text)
                continue
            self._queue.take(text)
            packed.append(text)
            room -= text.cost_tokens
        return packed

    def _is_void(self, job: Job) -> bool:
        """Whether nobody waits for it, or not any more."""
        if job.is_late(self._clock()):
            job.fail(Overloaded("the deadline passed while waiting for the local model", retry_after_seconds(0.0)))
        return job.future.done()

    def _perform(self, texts: list[Text]) -> None:
        self._step_started_at = started_at = self._clock()
        try:
            vectors = self._backend.embed([text.tokens for text in texts])
        except DecodeFailed as error:
            for text in texts:
                text.job.fail(error)
            if error.is_fatal:
                raise
            return
        finally:
            self._step_started_at = None
        self._observe(sum(text.cost_tokens for text in texts), self._clock() - started_at)
        for text, vector in zip(texts, vectors, strict=True):
            text.job.add(text.number, vector)

    def _observe(self, tokens: int, seconds: float) -> None:
        self._read_tokens += tokens
        known = self._token_seconds or seconds / tokens
        self._token_seconds = known + _MEMORY * (seconds / tokens - known)
