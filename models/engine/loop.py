"""The owner thread: it alone touches the context, one step at a time.

Life of a sequence::

    submit ──▶ inbox ──▶ queue ──admit──▶ running ──step──▶ … ──▶ Ended
                 │         │ full, late      │ decode fails
                 │         ▼                 ▼
                 │       Failed            Failed (the others go on)
                 └ engine dead or closing: EngineFailed at once

Between steps the thread takes commands, so a cancel or a new sequence waits for one step at most. When there is nothing
to do it sleeps in the inbox.
"""

import contextlib
import itertools
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final, Generic, Protocol, TypeVar

from models.engine.event import Ended, Failed, Finish, Piece, Sink, Started
from models.engine.params import SamplingParams
from models.engine.scheduler import Scheduler
from models.engine.sequence import Sequence
from models.engine.step import Chunk
from models.engine.text import Assembler
from models.errors import DecodeFailed, EngineFailed, Overloaded

_log = logging.getLogger(__name__)

# One sequence of the default model takes a few seconds: sooner the queue is hardly shorter, and later the wait is ours.
RETRY_AFTER_SECONDS: Final = 5

SamplerT = TypeVar("SamplerT")


class Backend(Protocol[SamplerT]):
    """What the loop needs of llama.cpp; `models.engine.llama.Context` is the real one."""

    def decode(self, chunks: list[Chunk]) -> list[int]:
        """Read the chunks; returns the output row of each chunk that wants a token. Raises DecodeFailed."""

    def sampler(self, params: SamplingParams) -> SamplerT:
        """A fresh sampler."""

    def sample(self, sampler: SamplerT, row: int) -> int:
        """The next token after this output row of the last decode."""

    def release(self, sampler: SamplerT) -> None:
        """Free a sampler."""

    def forget(self, slot: int) -> None:
        """Empty a slot."""

    def rebuild(self) -> None:
        """Make a new, empty context after a fatal decode. Raises LoadFailed."""

    def is_end(self, token: int) -> bool:
        """Whether this token ends a sequence."""

    def piece(self, token: int) -> bytes:
        """The token's bytes."""

    def close(self) -> None:
        """Free the context."""


@dataclass(frozen=True, slots=True)
class Submit:
    """Queue a sequence."""

    sequence: Sequence


@dataclass(frozen=True, slots=True)
class Cancel:
    """Forget a sequence."""

    sequence_id: int


@dataclass(frozen=True, slots=True)
class Stop:
    """End the thread."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How busy the engine is.

    Attributes:
        running: sequences that have a slot.
        queued: sequences that wait.
        step_age_seconds: how long the call into llama.cpp that runs now has been running; 0 between calls.

    """

    running: int
    queued: int
    step_age_seconds: float


@dataclass(slots=True, eq=False)
class _Live(Generic[SamplerT]):
    sequence: Sequence
    sampler: SamplerT
    assembler: Assembler


class Engine(Generic[SamplerT]):
    """Takes sequences from any thread and runs them on one.

    Args:
        backend: llama.cpp; owned by the engine from here on, and closed by it.
        scheduler: decides who runs; owned likewise.
        clock: monotonic seconds.
        on_failure: called once, on the engine thread, if the engine dies of an error that nobody foresaw.

    """

    def __init__(
        self,
        backend: Backend[SamplerT],
        scheduler: Scheduler,
        clock: Callable[[], float],
        on_failure: Callable[[], None],
    ) -> None:
        self._backend = backend
        self._scheduler = scheduler
        self._clock = clock
        self._on_failure = on_failure
        self._inbox: SimpleQueue[Submit | Cancel | Stop] = SimpleQueue()
        self._live: dict[int, _Live[SamplerT]] = {}
        self._ids = itertools.count()
        self._step_started_at: float | None = None
        # Held for the two lines that must not interleave: "is it closed?" then put, and close then drain.
        self._door = threading.Lock()
        self._is_closed = False
        # A daemon: a step that hangs inside llama.cpp must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Start the owner thread."""
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """End everything that waits or runs, and the thread; False if a step has not returned after `timeout` s."""
        self._inbox.put(Stop())
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def submit(
        self,
        tokens: list[int],
        params: SamplingParams,
        sink: Sink,
        *,
        client: str = "",
        deadline_at: float | None = None,
    ) -> int:
        """Queue a prompt; returns the id to cancel it by. Its events go to `sink`, on the engine thread.

        Raises:
            EngineFailed: the engine has died or is closing.

        """
        sequence = Sequence(next(self._ids), client, tokens, params, sink, deadline_at)
        with self._door:
            if self._is_closed:
                raise EngineFailed("the local model has stopped")
            self._inbox.put(Submit(sequence))
        return sequence.id

    def cancel(self, sequence_id: int) -> None:
        """Forget a sequence at the next step; unknown and ended ones are ignored."""
        self._inbox.put(Cancel(sequence_id))

    def snapshot(self) -> Snapshot:
        """How busy the engine is; safe from any thread, and may be a step old."""
        started_at = self._step_started_at
        age = 0.0 if started_at is None else self._clock() - started_at
        return Snapshot(self._scheduler.running, self._scheduler.queued, age)

    def turn(self) -> bool:
        """Take all commands, then perform one step; False when told to stop. Blocks only while idle."""
        for command in self._commands():
            if isinstance(command, Stop):
                return False
            self._obey(command)
        for late in self._scheduler.expire(self._clock()):
            late.sink(Failed(Overloaded("the deadline passed while waiting for the local model", RETRY_AFTER_SECONDS)))
        for sequence in self._scheduler.admit():
            sampler = self._backend.sampler(sequence.params)
            self._live[sequence.slot] = _Live(sequence, sampler, Assembler(sequence.params.stop))
            sequence.sink(Started())
        if chunks := self._scheduler.plan():
            self._perform(chunks)
        return True

    def _run(self) -> None:
        try:
            while self.turn():
                pass
            self._close(EngineFailed("the local model is shutting down"))
        except Exception:  # noqa: BLE001 - the boundary: whatever it is, no client may be left waiting
            _log.critical("the engine died", exc_info=True)
            self._close(EngineFailed("the local model has crashed"))
            self._on_failure()

    def _close(self, reason: EngineFailed) -> None:
        with self._door:
            self._is_closed = True
        for command in self._pending():
            if isinstance(command, Submit):
                command.sequence.sink(Failed(reason))
        for sequence in self._scheduler.sequences():
            self._scheduler.remove(sequence.id)
            self._discard(sequence)
            sequence.sink(Failed(reason))
        self._backend.close()

    def _commands(self) -> Iterator[Submit | Cancel | Stop]:
        if self._scheduler.is_idle:
            yield self._inbox.get()
        yield from self._pending()

    def _pending(self) -> Iterator[Submit | Cancel | Stop]:
        with contextlib.suppress(Empty):
            while True:
                yield self._inbox.get_nowait()

    def _obey(self, command: Submit | Cancel) -> None:
        if isinstance(command, Cancel):
            self._cancel(command.sequence_id)
        elif refused := self._scheduler.submit(command.sequence):
            refused.sink(Failed(Overloaded("too many requests wait for the local model", RETRY_AFTER_SECONDS)))

    def _cancel(self, sequence_id: int) -> None:
        if sequence := self._scheduler.remove(sequence_id):
            self._discard(sequence)
            sequence.sink(Ended(Finish.CANCELLED, sequence.completion_tokens))

    def _perform(self, chunks: list[Chunk]) -> None:
        try:
            with self._stepping():
                rows = self._backend.decode(chunks)
        except DecodeFailed as error:
            self._fail(chunks, error)
            return
        for chunk in chunks:
            self._live[chunk.slot].sequence.position += len(chunk.tokens)
        wanting = [self._live[chunk.slot] for chunk in chunks if chunk.wants_token]
        for live, row in zip(wanting, rows, strict=True):
            with self._stepping():
                token = self._backend.sample(live.sampler, row)
            self._take(live, token)

    def _fail(self, chunks: list[Chunk], error: DecodeFailed) -> None:
        _log.error("step of %d chunks failed: %s", len(chunks), error)
        victims = self._live.values() if error.is_fatal else [self._live[chunk.slot] for chunk in chunks]
        for live in list(victims):
            self._end(live, Failed(error))
        if error.is_fatal:
            self._backend.rebuild()

    @contextlib.contextmanager
    def _stepping(self) -> Iterator[None]:
        self._step_started_at = self._clock()
        try:
            yield
        finally:
            self._step_started_at = None

    def _take(self, live: _Live[SamplerT], token: int) -> None:
        sequence = live.sequence
        if self._backend.is_end(token):
            self._finish(live, Finish.STOP)
            return
        sequence.tokens.append(token)
        self._say(live, live.assembler.feed(self._backend.piece(token)))
        if live.assembler.is_stopped:
            self._finish(live, Finish.STOP)
        elif sequence.is_full:
            self._finish(live, Finish.LENGTH)

    def _finish(self, live: _Live[SamplerT], finish: Finish) -> None:
        if not live.assembler.is_stopped:
            self._say(live, live.assembler.flush())
        self._end(live, Ended(finish, live.sequence.completion_tokens))

    def _say(self, live: _Live[SamplerT], text: str) -> None:
        if text:
            live.sequence.sink(Piece(text))

    def _end(self, live: _Live[SamplerT], event: Ended | Failed) -> None:
        self._scheduler.remove(live.sequence.id)
        self._discard(live.sequence)
        live.sequence.sink(event)

    def _discard(self, sequence: Sequence) -> None:
        if live := self._live.pop(sequence.slot, None):
            self._backend.release(live.sampler)
            self._backend.forget(sequence.slot)
