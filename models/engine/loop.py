"""The engine: one thread alone touches the context, one step at a time.

Life of a sequence::

    submit ──▶ inbox ──▶ queue ──admit──▶ running ──step──▶ … ──▶ Ended
                 │         │ full, late,    │  ▲  │ decode fails
                 │         ▼ hopeless       ▼  │  ▼
                 │       Failed        preempted  Failed (the others go on)
                 └ engine dead or closing: EngineFailed at once

Between steps the thread takes commands, so a cancel or a new sequence waits for one step at most. When there is nothing
to do it sleeps in the inbox. What a turn has to say goes out at its end, all at once.
"""

import contextlib
import itertools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Generic, Protocol, TypeVar

from models.engine.crew import Crew
from models.engine.event import Delivery, Ended, Event, Failed, Finish, Piece, Sink, Started, TokenScore
from models.engine.healing import Healing
from models.engine.owner import Owner
from models.engine.params import SamplingParams
from models.engine.queue import retry_after_seconds
from models.engine.scheduler import Scheduler
from models.engine.sequence import Sequence
from models.engine.snapshot import Snapshot
from models.engine.step import Chunk
from models.engine.tally import Tally
from models.engine.text import Assembler
from models.errors import DecodeFailed, EngineFailed, Overloaded, RequestError

_log = logging.getLogger(__name__)

_MOST_WIPES: Final = 2
"""A sequence under which the memory was lost so often is probably the cause."""

SamplerT = TypeVar("SamplerT")


class Backend(Protocol[SamplerT]):
    """What the loop needs of llama.cpp; `models.engine.llama.Context` is the real one."""

    def employ(self, threads: int) -> None:
        """Decode with so many threads from now on."""

    def decode(self, chunks: list[Chunk]) -> list[int]:
        """Read the chunks; returns the output row of each chunk that wants a token. Raises DecodeFailed."""

    def sampler(self, params: SamplingParams) -> SamplerT:
        """A fresh sampler. Raises RequestError if there can be none like that."""

    def sample(self, sampler: SamplerT, row: int) -> int:
        """The next token after this output row of the last decode."""

    def score(self, row: int, token: int, alternatives: int) -> TokenScore:
        """How likely a token was after this output row of the last decode, and so many of the likeliest."""

    def release(self, sampler: SamplerT) -> None:
        """Free a sampler."""

    def forget(self, slot: int) -> None:
        """Empty a slot."""

    def inherit(self, source: int, target: int, tokens: int) -> bool:
        """Let slot `target` hold the first `tokens` of what `source` holds, and nothing else; both may be the same.

        False if the model's memory cannot do that: then `target` is empty.
        """

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


@dataclass(slots=True)
class _Totals:
    read: int = 0
    inherited: int = 0
    generated: int = 0
    preempted: int = 0


@dataclass(slots=True, eq=False)
class _Live(Generic[SamplerT]):
    sequence: Sequence
    sampler: SamplerT
    assembler: Assembler
    healing: Healing
    tally: Tally | None
    """Only where the likelihood of tokens was asked for."""


class Engine(Generic[SamplerT]):
    """Takes sequences from any thread and runs them on one.

    Args:
        backend: llama.cpp; owned by the engine from here on, and closed by it.
        scheduler: decides who runs; owned likewise.
        crew: decides how many threads compute; owned likewise.
        clock: monotonic seconds.
        deliver: called on the engine thread with all that a turn has to say; it must hand that over and return at once.
        on_failure: called once, on the engine thread, if the engine dies of an error that nobody foresaw.

    """

    def __init__(
        self,
        backend: Backend[SamplerT],
        scheduler: Scheduler,
        crew: Crew,
        clock: Callable[[], float],
        deliver: Callable[[Delivery], None],
        on_failure: Callable[[], None],
    ) -> None:
        self._backend = backend
        self._scheduler = scheduler
        self._crew = crew
        self._clock = clock
        self._deliver = deliver
        self._owner: Owner[Submit | Cancel] = Owner(self.turn, self._close, on_failure)
        self._live: dict[int, _Live[SamplerT]] = {}
        """By the sequence's id, from its first admission on."""
        self._outbox: Delivery = []
        self._totals = _Totals()
        self._ids = itertools.count()
        self._step_started_at: float | None = None

    def start(self) -> None:
        """Start the owner thread."""
        self._owner.start()

    def stop(self, timeout: float) -> bool:
        """End everything that waits or runs, and the thread; False if a step has not returned after `timeout` s."""
        return self._owner.stop(timeout)

    def submit(
        self,
        tokens: list[int],
        params: SamplingParams,
        sink: Sink,
        *,
        client: str = "",
        deadline_at: float | None = None,
        weight: float = 1.0,
    ) -> int:
        """Queue a prompt; returns the id to cancel it by. Its events are delivered to `sink`.

        Raises:
            EngineFailed: the engine has died or is closing.

        """
        sequence = Sequence(next(self._ids), client, tokens, params, sink, deadline_at, weight)
        self._owner.put(Submit(sequence))
        return sequence.id

    def prime(self, tokens: list[int], *, client: str = "") -> None:
        """Have a prompt's beginning read in an idle moment, and kept for this client's requests.

        Raises:
            EngineFailed: the engine has died or is closing.

        """
        params = SamplingParams(max_tokens=1, seed=0)
        self._owner.put(Submit(Sequence(next(self._ids), client, tokens, params, _nobody, is_priming=True)))

    def cancel(self, sequence_id: int) -> None:
        """Forget a sequence at the next step; unknown and ended ones are ignored."""
        with contextlib.suppress(EngineFailed):  # then it has ended
            self._owner.put(Cancel(sequence_id))

    def snapshot(self) -> Snapshot:
        """How busy the engine is; safe from any thread, and may be a step old."""
        started_at, scheduler, totals = self._step_started_at, self._scheduler, self._totals
        return Snapshot(
            running=scheduler.running,
            queued=scheduler.queued,
            step_age_seconds=0.0 if started_at is None else self._clock() - started_at,
            kept_tokens=scheduler.kept_tokens,
            read_tokens=totals.read,
            inherited_tokens=totals.inherited,
            generated_tokens=totals.generated,
            preempted=totals.preempted,
        )

    def turn(self) -> bool:
        """Take all commands, then perform one step; False when told to stop. Blocks only while idle."""
        for command in self._owner.commands(is_idle=self._scheduler.is_idle):
            if command is None:
                return False
            self._obey(command)
        if late := self._scheduler.expire(self._clock()):
            self._refuse(late, "the deadline passed while waiting for the local model")
        for sequence in self._scheduler.admit():
            self._begin(sequence)
        self._arrange()
        if chunks := self._scheduler.plan():
            self._perform(chunks)
        for sequence in self._scheduler.primed():
            self._end(self._live[sequence.id], Ended(Finish.STOP, 0))
        self._flush()
        return True

    def _close(self, reason: EngineFailed, unread: list[Submit | Cancel]) -> None:
        for command in unread:
            if isinstance(command, Submit):
                self._post(command.sequence, Failed(reason))
        for sequence in self._scheduler.sequences():
            self._scheduler.remove(sequence.id)
            self._release(sequence)
            self._post(sequence, Failed(reason))
        self._flush()
        self._backend.close()

    def _obey(self, command: Submit | Cancel) -> None:
        if isinstance(command, Cancel):
            self._cancel(command.sequence_id)
        elif self._is_hopeless(command.sequence):
            self._refuse([command.sequence], "the local model is too busy to begin before the deadline")
        elif refused := self._scheduler.submit(command.sequence):
            self._refuse([refused], "too many requests wait for the local model")

    def _is_hopeless(self, sequence: Sequence) -> bool:
        """Whether it is better told now than when its deadline has passed."""
        if sequence.deadline_at is None:
            return False
        reading = self._scheduler.pace.reading_seconds(len(sequence.tokens))
        return self._clock() + self._scheduler.expected_wait_seconds() + reading > sequence.deadline_at

    def _refuse(self, sequences: list[Sequence], why: str) -> None:
        wait = retry_after_seconds(self._scheduler.expected_wait_seconds())
        for sequence in sequences:
            self._release(sequence)  # a prompt that was only to be read may have been begun
            self._post(sequence, Failed(Overloaded(why, wait)))

    def _cancel(self, sequence_id: int) -> None:
        if sequence := self._scheduler.remove(sequence_id):
            self._release(sequence)
            self._post(sequence, _ended(sequence, Finish.CANCELLED))

    def _begin(self, sequence: Sequence) -> None:
        params = sequence.params
        try:
            sampler = self._backend.sampler(params)
        except RequestError as error:
            self._scheduler.remove(sequence.id)
            self._post(sequence, Failed(error))
            return
        tally = None if params.logprobs is None else Tally()
        self._live[sequence.id] = _Live(
            sequence, sampler, Assembler(params.stop, params.sent), Healing(params.healing), tally
        )
        self._post(sequence, Started())

    def _arrange(self) -> None:
        """Hand over what need not be read twice; empty what is of no use any more."""
        while move := self._scheduler.take_move():
            self._empty()
            sequence, before = move
            is_done = self._backend.inherit(before, sequence.slot, sequence.position)
            self._scheduler.moved(sequence, before, is_done=is_done)
        self._empty()
        for sequence, found in self._scheduler.inherit():
            is_done = self._backend.inherit(found.slot, sequence.slot, found.tokens)
            self._scheduler.inherited(sequence, found, is_done=is_done)
            self._totals.inherited += found.tokens if is_done else 0

    def _empty(self) -> None:
        for slot in self._scheduler.take_emptied():
            self._backend.forget(slot)

    def _perform(self, chunks: list[Chunk]) -> None:
        self._backend.employ(self._crew.threads)
        started_at = self._clock()
        try:
            with self._stepping():
                rows = self._backend.decode(chunks)
        except DecodeFailed as error:
            self._recover(chunks, error)
            return
        self._count(chunks, self._clock() - started_at)
        for sequence, row in zip(self._scheduler.read(chunks), rows, strict=True):
            live = self._live[sequence.id]
            self._take(live, self._backend.sample(live.sampler, row), row)

    def _count(self, chunks: list[Chunk], seconds: float) -> None:
        tokens = sum(len(chunk.tokens) for chunk in chunks)
        decoded = sum(len(chunk.tokens) == 1 for chunk in chunks)
        self._scheduler.pace.observe(decoded, tokens - decoded, seconds)
        self._crew.observe(tokens, seconds)
        self._totals.read += tokens - decoded

    def _recover(self, chunks: list[Chunk], error: DecodeFailed) -> None:
        """Nothing was read. Nobody fails where making room, or a new memory, helps."""
        if error.is_full:
            self._make_room(error)
            return
        _log.error("step of %d chunks failed: %s", len(chunks), error)
        slots = {chunk.slot for chunk in chunks}
        for live in list(self._live.values()):
            live.sequence.wipes += error.is_fatal
            if live.sequence.wipes >= _MOST_WIPES or (not error.is_fatal and live.sequence.slot in slots):
                self._end(live, Failed(error))
        if error.is_fatal:
            self._backend.rebuild()
            self._scheduler.wiped()

    def _make_room(self, error: DecodeFailed) -> None:
        if victim := self._scheduler.crowded():
            self._end(self._live[victim.id], Failed(error))
        self._totals.preempted += 1

    @contextlib.contextmanager
    def _stepping(self) -> Iterator[None]:
        self._step_started_at = self._clock()
        try:
            yield
        finally:
            self._step_started_at = None

    def _take(self, live: _Live[SamplerT], token: int, row: int) -> None:
        sequence = live.sequence
        if self._backend.is_end(token):
            self._finish(live, Finish.STOP)
            return
        sequence.tokens.append(token)
        self._totals.generated += 1
        new = live.healing.feed(self._backend.piece(token))
        text = live.assembler.feed(new)
        score = self._score(live, token, row, new) if live.tally is not None else None
        self._say(live, text, score)
        if live.assembler.is_stopped:
            self._finish(live, Finish.STOP)
        elif sequence.is_full:
            self._finish(live, Finish.LENGTH)

    def _finish(self, live: _Live[SamplerT], finish: Finish) -> None:
        if not live.assembler.is_stopped:
            self._say(live, live.assembler.flush())
        self._scheduler.pace.answered(live.sequence.completion_tokens)
        self._end(live, _ended(live.sequence, finish))

    def _score(self, live: _Live[SamplerT], token: int, row: int, new: bytes) -> TokenScore | None:
        """None for a token of which nothing is told: it spells what the client has, or a stop string."""
        alternatives = live.sequence.params.logprobs
        if alternatives is None or not new or live.assembler.is_stopped:
            return None
        return replace(self._backend.score(row, token, alternatives), piece=new)

    def _say(self, live: _Live[SamplerT], text: str, score: TokenScore | None = None) -> None:
        tokens = () if live.tally is None else live.tally.release(text, score, live.assembler.held)
        if text:
            self._post(live.sequence, Piece(text, tokens, live.sequence.completion_tokens))

    def _end(self, live: _Live[SamplerT], event: Ended | Failed) -> None:
        self._scheduler.remove(live.sequence.id)
        self._release(live.sequence)
        self._post(live.sequence, event)

    def _release(self, sequence: Sequence) -> None:
        if live := self._live.pop(sequence.id, None):
            self._backend.release(live.sampler)

    def _post(self, sequence: Sequence, event: Event) -> None:
        self._outbox.append((sequence.sink, event))

    def _flush(self) -> None:
        if self._outbox:
            outbox, self._outbox = self._outbox, []
            self._deliver(outbox)


def _ended(sequence: Sequence, finish: Finish) -> Ended:
    return Ended(finish, sequence.completion_tokens, sequence.cached_tokens)


def _nobody(_event: Event) -> None:
    """Where the events of a sequence go that nobody waits for."""
