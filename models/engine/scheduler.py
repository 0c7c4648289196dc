"""Who runs next, what need not be read twice, and what the next step reads. Pure: no clock, no thread, no model.

A turn of the loop asks in this order:

    expire ─▶ admit ─▶ inherit ─▶ plan ─▶ (the model reads) ─▶ read │ crowded
              slots    prefixes   chunks                       progress, or no room: somebody has to make place

Running streams come first in every step, one token each; prompts share what is left of the step's budget, the short
ones before the long ones, so that neither a stream nor a short question waits for the reading of a book. The oldest
prompt is never left out.

A prefix that several sequences have in common is read by the first of them. The others wait for it, even where it is
still being read: N clients of one application that arrive together have one system prompt.

When the pool of a shared memory is full, what was kept for later goes first. Then the sequence that came last gives its
place back and reads everything again when there is room: it is late, but it does not fail.
"""

from collections import deque
from dataclasses import dataclass

from models.engine.pace import Pace
from models.engine.prefix import MIN_TOKENS, common_prefix
from models.engine.queue import FairQueue
from models.engine.sequence import Inheritance, Sequence
from models.engine.slots import Kept, Slots
from models.engine.step import Chunk, Layout

_GROWTH_TOKENS = 32
"""Free room per running sequence without which nobody else is let into a shared pool."""

_OLDEST_SHARE = 4
"""The oldest prompt gets at least this part (one in so many) of a step's budget."""

_KEPT_SHARE = 2
"""Kept tokens take at most this part (one in so many) of a shared pool: every step looks at them."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What an operator decides.

    Attributes:
        parallel: how many sequences run at once.
        queue_limit: how many sequences may wait, at least 1.
        shares_between_clients: a prefix that one client sent may serve another. Its speed would tell one client what
            another one asks.
        is_deterministic: a sequence gets the same text alone and among others: nothing is shared, and prompts are read
            one at a time, in chunks of one size.

    """

    parallel: int
    queue_limit: int
    shares_between_clients: bool = False
    is_deterministic: bool = False


class Scheduler:
    """Decides; the loop performs.

    Args:
        rules: the operator's.
        layout: the model's memory.
        pace: how fast it is; told by the loop.

    """

    def __init__(self, rules: Rules, layout: Layout, pace: Pace) -> None:
        self.pace = pace
        self._rules = rules
        self._layout = layout
        self._queue: FairQueue[Sequence] = FairQueue()
        self._preempted: deque[Sequence] = deque()
        self._primes: deque[Sequence] = deque()
        """Prompts to be read in idle moments."""
        self._running: list[Sequence] = []
        """In the order of their admission."""
        self._slots = Slots(layout.slots, is_packed=layout.is_split)

    @property
    def queued(self) -> int:
        """How many wait."""
        return len(self._queue) + len(self._preempted)

    @property
    def running(self) -> int:
        """How many run."""
        return len(self._running)

    @property
    def kept_tokens(self) -> int:
        """How many tokens are kept for those who come later."""
        return self._slots.kept_tokens

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do until the next submit."""
        return not self.queued and not self._running and not self._primes

    def sequences(self) -> list[Sequence]:
        """All that run or wait."""
        return [*self._running, *self._preempted, *self._queue.waiting(), *self._primes]

    # ---- who waits

    def expected_wait_seconds(self) -> float:
        """Until one who comes now gets a slot."""
        waiting = [*self._preempted, *self._queue.waiting()]
        return self.pace.expected_wait_seconds(self._running, waiting, self._rules.parallel)

    def submit(self, sequence: Sequence) -> Sequence | None:
        """Queue it; returns the sequence that had to go because the queue is full, perhaps this one.

        The client with the longest line loses its newest (longest queue drop, McKenney 1990): a flood fills the queue
        with its own requests only.
        """
        if sequence.is_priming:
            self._primes.append(sequence)
            return self._primes.popleft() if len(self._primes) > self._rules.queue_limit else None
        self._queue.push(sequence)
        return self._queue.pop_newest_of_longest() if len(self._queue) > self._rules.queue_limit else None

    def expire(self, now: float) -> list[Sequence]:
        """Forget and return all that have waited past their deadline. What has run once is left alone."""
        late = [sequence for sequence in self._queue.waiting() if sequence.is_late(now)]
        for sequence in late:
            self._queue.remove(sequence)
        return late

    def remove(self, sequence_id: int) -> Sequence | None:
        """Forget a sequence, waiting or running; None if it is already gone. What it has read is kept."""
        for sequence in self.sequences():
            if sequence.id == sequence_id:
                self._drop(sequence)
                return sequence
        return None

    def _drop(self, sequence: Sequence) -> None:
        if sequence.slot >= 0:
            self._retire(sequence)
        elif sequence.is_priming:
            self._primes.remove(sequence)
        elif sequence.has_started:
            self._preempted.remove(sequence)
        else:
            self._queue.remove(sequence)

    def _retire(self, sequence: Sequence) -> None:
        self._running.remove(sequence)
        if sequence.position >= MIN_TOKENS and not self._rules.is_deterministic:
            self._slots.keep(sequence.slot, Kept(sequence.client, sequence.tokens[: sequence.position]))
            self._bound_kept()
        else:
            self._slots.release(sequence.slot)
        sequence.slot = -1
        self._disinherit(sequence)

    def _bound_kept(self) -> None:
        pool = self._layout.pool_tokens
        while pool is not None and self._slots.kept_tokens > pool // _KEPT_SHARE:
            self._slots.drop_oldest()

    def _disinherit(self, reader: Sequence) -> None:
        """Who waits for what this one reads has to look elsewhere; what it has read may lie there still."""
        for heir in self._running:
            if heir.inheritance is not None and heir.inheritance.reader is reader:
                heir.inheritance = self._find(heir)

    # ---- who runs

    def admit(self) -> list[Sequence]:
        """Move waiting sequences into free slots; returns those that start for the first time."""
        started = []
        if self.queued:
            self._interrupt_priming()
        while len(self._running) < self._rules.parallel and (sequence := self._next()) is not None:
            inheritance = self._find(sequence)
            if not self._has_room(sequence, inheritance):
                break
            self._take(sequence)
            self._settle(sequence, inheritance)
            if not sequence.has_started:
                sequence.has_started = True
                started.append(sequence)
        return started

    def _interrupt_priming(self) -> None:
        """Somebody needs the slot. What was read until now is kept, and goes on from there in the next idle moment."""
        for sequence in [each for each in self._running if each.is_priming]:
            self._retire(sequence)
            sequence.forget()
            self._primes.appendleft(sequence)

    def _next(self) -> Sequence | None:
        if self._preempted:
            return self._preempted[0]
        if self._queue or self._running or not self._primes:
            return self._queue.peek()
        return self._primes[0]

    def _take(self, sequence: Sequence) -> None:
        if sequence.is_priming:
            self._primes.popleft()
        elif self._preempted:
            self._preempted.popleft()
        else:
            self._queue.take(sequence)

    def _has_room(self, sequence: Sequence, inheritance: Inheritance | None) -> bool:
        """Whether the pool can take one more, without what is kept if need be. One alone always fits."""
        pool = self._layout.pool_tokens
        if pool is None or not self._running:
            return True
        wanted = len(sequence.tokens) - (inheritance.tokens if inheritance else 0)
        return self._used_tokens() + wanted + _GROWTH_TOKENS * (len(self._running) + 1) <= pool

    def _used_tokens(self) -> int:
        """About so much of the pool is taken by what runs; a prefix that is shared is there once."""
        shares = [each.inheritance.tokens if each.inheritance else each.inherited for each in self._running]
        return sum(len(each.tokens) for each in self._running) - sum(shares) + max(shares, default=0)

    def _settle(self, sequence: Sequence, inheritance: Inheritance | None) -> None:
        """Give it a slot: that of its inheritance where nothing else is lost by it, or where there is no other."""
        source = inheritance.kept_in if inheritance is not None and inheritance.reader is None else None
        slot = None if self._is_superseded(source, sequence) else self._slots.take(source)
        if slot is None:
            assert source is not None, "at most as many run as there are slots"
            self._slots.adopt(source)
            slot = source
        sequence.slot, sequence.inheritance = slot, inheritance
        self._running.append(sequence)

    def _is_superseded(self, slot: int | None, sequence: Sequence) -> bool:
        """Whether all that is kept there is a part of the new sequence: a dialogue goes on. In a split cache the lowest
        place is worth more.
        """
        if slot is None or self._layout.is_split:
            return False
        kept = self._slots.kept[slot].tokens
        return len(kept) < len(sequence.tokens) and common_prefix(kept, sequence.tokens) == len(kept)

    def _find(self, heir: Sequence) -> Inheritance | None:
        """The longest prefix that lies in memory, or will. Only those that came earlier are waited for."""
        best: Inheritance | None = None
        if self._rules.is_deterministic:
            return None
        for slot, kept in self._slots.kept.items():
            if self._may_share(heir, kept.client):
                best = _longer(best, self._from_kept(heir, slot, kept))
        for reader in self._running:
            if reader is heir:
                break
            if self._may_share(heir, reader.client):
                best = _longer(best, self._from_reader(heir, reader))
        return best

    def _may_share(self, heir: Sequence, client: str) -> bool:
        return self._rules.shares_between_clients or heir.client == client

    def _from_kept(self, heir: Sequence, slot: int, kept: Kept) -> Inheritance | None:
        length = min(common_prefix(heir.tokens, kept.tokens), heir.inheritable)
        if not self._layout.can_cut and length < len(kept.tokens):
            return None
        return Inheritance(length, kept_in=slot) if length >= MIN_TOKENS else None

    def _from_reader(self, heir: Sequence, reader: Sequence) -> Inheritance | None:
        length = min(common_prefix(heir.tokens, reader.tokens), heir.inheritable)
        if not self._layout.can_cut and reader.position > length:
            return None
        return Inheritance(length, reader=reader) if length >= MIN_TOKENS else None

    # ---- what need not be read twice

    def inherit(self) -> list[tuple[Sequence, Inheritance]]:
        """What can be handed over now, in an order that works; tell `inherited` of each."""
        ready = []
        for sequence in self._running:
            if sequence.inheritance is not None and not self._is_promised(sequence, sequence.inheritance):
                sequence.inheritance = self._find(sequence)
            found = sequence.inheritance
            if found is not None and (found.reader is None or found.reader.position >= found.tokens):
                ready.append((sequence, found))
        # Where the heir sits in the slot itself, the rest of what lies there is lost: so it comes last.
        return sorted(ready, key=lambda pair: pair[0].slot == pair[1].slot)

    def _is_promised(self, heir: Sequence, found: Inheritance) -> bool:
        """Whether it is still there, or still on its way."""
        if found.reader is not None:
            return self._layout.can_cut or found.reader.position <= found.tokens
        if found.kept_in in self._slots.kept:
            holder = self._slots.kept[found.kept_in].tokens
        else:  # or the sequence that has moved in there will take it over
            heirs = [each for each in self._running if each.inheritance and each.inheritance.kept_in == each.slot]
            holder = next((each.tokens for each in heirs if each.slot == found.kept_in), [])
        return common_prefix(holder, heir.tokens) >= found.tokens

    def inherited(self, sequence: Sequence, found: Inheritance, *, is_done: bool) -> None:
        """The model holds the prefix for the heir, or could not: then the heir's slot is empty."""
        sequence.inherit(found.tokens if is_done else 0)
        if found.kept_in in self._slots.kept:
            self._slots.touch(found.kept_in)

    def take_emptied(self) -> list[int]:
        """The slots that have to be emptied now."""
        return self._slots.take_emptied()

    def take_move(self) -> tuple[Sequence, int] | None:
        """A running sequence that fills a gap below it, and the slot where it lay until now; tell `moved`."""
        last = max(self._running, key=lambda each: each.slot, default=None)
        if last is None or not last.is_decoding:
            return None
        slot = self._slots.take_below(last.slot)
        if slot is None:
            return None
        before, last.slot = last.slot, slot
        return last, before

    def moved(self, sequence: Sequence, before: int, *, is_done: bool) -> None:
        """The model holds it in its new slot, or could not: then it has everything to read again."""
        self._slots.release(before)
        if not is_done:
            sequence.forget()

    # ---- what the next step reads

    def plan(self) -> list[Chunk]:
        """The next step for what runs; empty if nothing does. Planning changes nothing."""
        decoding = [sequence for sequence in self._running if sequence.is_decoding]
        reading = [s for s in self._running if not s.is_decoding and s.inheritance is None]
        if self._rules.is_deterministic and reading:
            chunks = [self._chunk(reading[0], self.pace.step_tokens)]
        else:
            chunks = [self._chunk(sequence, 1) for sequence in decoding]
            budget = self.pace.budget(len(decoding), is_lone=len(self._running) == 1)
            shares = _shares(reading, budget)
            chunks += [self._chunk(sequence, tokens) for sequence, tokens in shares]
        return sorted(chunks, key=lambda chunk: chunk.slot)

    def _chunk(self, sequence: Sequence, tokens: int) -> Chunk:
        end = min(len(sequence.tokens), sequence.position + tokens)
        if not self._layout.can_cut:
            end = min([end, *self._handover_points(sequence)])
        unread = tuple(sequence.tokens[sequence.position : end])
        is_last = end == len(sequence.tokens)
        return Chunk(sequence.slot, sequence.position, unread, wants_token=is_last and not sequence.is_priming)

    def _handover_points(self, reader: Sequence) -> list[int]:
        """Where a state that cannot be cut has to be copied on the way."""
        found = [heir.inheritance for heir in self._running if heir.inheritance is not None]
        return [each.tokens for each in found if each.reader is reader and each.tokens > reader.position]

    # ---- what came of it

    def read(self, chunks: list[Chunk]) -> list[Sequence]:
        """The model has read them; returns those that get a token, in the order of their chunks."""
        by_slot = {sequence.slot: sequence for sequence in self._running}
        for chunk in chunks:
            by_slot[chunk.slot].position += len(chunk.tokens)
        return [by_slot[chunk.slot] for chunk in chunks if chunk.wants_token]

    def primed(self) -> list[Sequence]:
        """Those that were to be read only, and are."""
        return [sequence for sequence in self._running if sequence.is_priming and not sequence.unread]

    def crowded(self) -> Sequence | None:
        """There was no room for the step. Make some; returns the sequence that has to be given up, as a last resort."""
        if self._slots.drop_oldest():
            return None
        if len(self._running) == 1:
            return self._running[0]
        youngest = self._running.pop()
        self._slots.release(youngest.slot)
        youngest.slot = -1
        youngest.forget()
        self._disinherit(youngest)
        (self._primes if youngest.is_priming else self._preempted).appendleft(youngest)
        return None

    def wiped(self) -> None:
        """The model's memory was made anew: nothing is kept, and what runs has everything to read again."""
        self._slots.reset()
        for sequence in self._running:
            sequence.forget()


def _longer(one: Inheritance | None, other: Inheritance | None) -> Inheritance | None:
    """Of two equal ones the first, which lies there already."""
    if one is None or other is None:
        return one or other
    return other if other.tokens > one.tokens else one


def _shares(reading: list[Sequence], budget: int) -> list[tuple[Sequence, int]]:
    """How much each prompt gets of the budget: the shortest first, but a part for the oldest in any case."""
    if not reading:
        return []
    oldest = reading[0]
    reserved = min(oldest.unread, max(budget // _OLDEST_SHARE, 1))
    left = budget - reserved
    shares = {oldest.id: reserved}
    for sequence in sorted(reading, key=lambda each: each.unread):
        given = min(left, sequence.unread - shares.get(sequence.id, 0))
        left -= given
        shares[sequence.id] = shares.get(sequence.id, 0) + given
    return [(sequence, shares[sequence.id]) for sequence in reading if shares[sequence.id]]
