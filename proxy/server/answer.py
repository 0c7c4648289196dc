"""An upstream's answer as it comes in, and what of it may be shown. Bytes in, bytes out: no socket, no clock.

An unstreamed answer is held until it is complete, so that a cut one can still be failed over. A stream is held until
its first content: comments, pings and a lone role are what a model sends that is about to hang. From then on whole
events pass as the bytes they came in, and nothing is parsed until something breaks.
"""

from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from proxy.core.outcome import OK, Kind, Outcome
from proxy.server.journal import Budget, Journal
from proxy.upstreams.transport import AttemptFailed
from proxy.wire import completion, sse
from proxy.wire.http1 import ResponseHead
from proxy.wire.likeness import Likeness

MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""An unstreamed answer is held in memory. 64 MiB is 2,000 embeddings of 3,072 numbers in JSON, the largest request
that OpenAI takes."""


class Unjoinable(AttemptFailed):
    """A continuation does not fit what the client has. That it has ended well does not help."""


class Remains(NamedTuple):
    """What is left of a stream that broke after its first content."""

    delivered: bytes | None
    """All that was shown; None where it has been forgotten for want of memory."""
    last_words: bytes
    """The error event that ended it, if one did. It was not shown."""


@dataclass(slots=True, eq=False)
class WholeAnswer:
    """One that the client gets when it is complete. `is_checked`: it has to be a completion, not just anything."""

    _head: ResponseHead
    _outcome: Outcome
    is_checked: bool
    _parts: list[bytes] = field(default_factory=list)
    _size: int = 0
    is_keep_alive: ClassVar[bool] = False
    fault: ClassVar[Outcome | None] = None

    def take(self, data: bytes) -> bytes:
        """Nothing may be shown yet. Raises AttemptFailed (BAD_ANSWER) when there is too much of it."""
        self._size += len(data)
        if self._size > MAX_ANSWER_BYTES:
            raise _bad(self._head, "answer too large")
        self._parts.append(data)
        return b""

    def end(self) -> tuple[Outcome, bytes]:
        """It is complete. Raises AttemptFailed (BAD_ANSWER)."""
        body = b"".join(self._parts)
        if self.is_checked:
            check_completion(self._head, body)
        return self._outcome, body

    def broken(self, outcome: Outcome) -> Outcome:
        """It ended early."""
        return outcome

    def close(self) -> None:
        """It is over, however it went."""


@dataclass(slots=True, eq=False)
class StreamAnswer:
    """One that the client gets event by event."""

    _head: ResponseHead
    _budget: Budget
    _reader: sse.EventReader = field(default_factory=sse.EventReader)
    _held: bytes = b""
    _journal: Journal | None = None
    _likeness: Likeness = field(default_factory=Likeness)
    is_keep_alive: bool = False
    """Whether what `take` gave last is comments only: no content, and no proof that there will be any."""
    fault: Outcome | None = None
    """Behind what `take` gave last there was something that must not be shown: no event, or an error."""
    _last_words: bytes = b""

    def __post_init__(self) -> None:
        """Raises AttemptFailed (BAD_ANSWER) for what is no stream."""
        if self._head.content_type != "text/event-stream":
            raise _bad(self._head, f"a stream was asked for, {self._head.content_type or 'nothing'} came")

    def take(self, data: bytes) -> bytes:
        """What may be shown now, in whole events; the first of it is everything up to the first content.

        Raises AttemptFailed (BAD_ANSWER). A half event at the end of a broken stream is never shown: what follows it
        has to start on a line of its own.
        """
        block = self._reader.feed(data)
        if not block:
            if self._reader.is_overfull:
                raise _bad(self._head, "an event without end")
            return b""
        if (journal := self._journal) is None:
            return self._hold(block)
        if self._likeness.holds(block):
            self.is_keep_alive = False
            journal.add(block)
            return block
        return self._show_closely(block, journal)

    def end(self) -> tuple[Outcome, None]:
        """The upstream has ended the stream. Raises AttemptFailed (CUT) if no content had come."""
        if self._journal is None:
            raise AttemptFailed(Outcome(Kind.CUT, self._head.status, detail="ended before its first content"))
        return self.broken(Outcome(Kind.CUT, self._head.status, detail="ended without finishing")), None

    def broken(self, outcome: Outcome) -> Outcome:
        """How a stream that gives no more had ended. One that had finished is well, however its connection went."""
        if self._journal is None:
            return outcome
        if not completion.is_finished(self._journal.tail()):
            return outcome
        if self.lacks_end and completion.is_open(self._journal.known()):
            return outcome
        return OK if outcome.status == OK.status else Outcome(Kind.OK, outcome.status)

    @property
    def lacks_end(self) -> bool:
        """Whether nothing has said that the stream is complete. SDKs in other languages than ours wait for that."""
        return self._journal is not None and not completion.is_done(self._journal.tail())

    def remains(self) -> Remains:
        """What is left of it when it has broken."""
        journal = self._journal
        is_known = journal is not None and journal.is_complete
        return Remains(journal.delivered() if journal is not None and is_known else None, self._last_words)

    def close(self) -> None:
        """It is over, however it went."""
        if self._journal is not None:
            self._journal.close()

    def _show_closely(self, block: bytes, journal: Journal) -> bytes:
        self.is_keep_alive = sse.is_only_comments(block)
        if self.is_keep_alive:  # it would push the finish out of the tail
            return block
        end = self._likeness.end_of_sound(block)
        if end < len(block):
            block, bad = block[:end], next(sse.events(block[end:]))
            self.fault = _fault(self._head, bad)
            self._last_words = bad if self.fault.kind is Kind.SERVER_ERROR else b""
        if block:
            journal.add(block)
        return block

    def _hold(self, block: bytes) -> bytes:
        self._held += block
        if len(self._held) > sse.MAX_EVENT_BYTES:
            raise _bad(self._head, "no content in its first megabytes")
        if not self._shows_content(block):
            return b""
        held, self._held = self._held, b""
        self._journal = Journal(self._budget, b"")
        return self._show_closely(held, self._journal)

    def _shows_content(self, block: bytes) -> bool:
        for data in sse.payloads(block):
            seen = completion.glance(data)
            if seen.is_error or data == completion.DONE:
                raise _bad(self._head, "error event" if seen.is_error else "ended without content")
            if seen.has_content or seen.is_finished:
                return True
        return False


Answer = WholeAnswer | StreamAnswer


def check_completion(head: ResponseHead, body: bytes) -> None:
    """Raises AttemptFailed (BAD_ANSWER) for a body under 200 that is anything else."""
    if not completion.is_whole(body) and not _is_opaque(head):
        raise _bad(head, "not a completion")


def _is_opaque(head: ResponseHead) -> bool:
    """Compressed although we asked for it plain: passed on unseen."""
    return head.has(b"content-encoding") and (head.get(b"content-encoding") or b"").lower() != b"identity"


def _fault(head: ResponseHead, bad: bytes) -> Outcome:
    if completion.is_error(next(sse.payloads(bad), b"")):
        return Outcome(Kind.SERVER_ERROR, head.status, detail="error event")
    return Outcome(Kind.BAD_ANSWER, head.status, detail="an event that is no JSON")


def _bad(head: ResponseHead, detail: str) -> AttemptFailed:
    return AttemptFailed(Outcome(Kind.BAD_ANSWER, head.status, detail=detail))
