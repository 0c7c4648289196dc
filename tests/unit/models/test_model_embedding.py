"""The thread that makes embeddings, turned by hand."""

from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
import pytest

from models.engine.embedding import EmbeddingEngine, Vectors
from models.errors import DecodeFailed, EngineFailed, Overloaded


@dataclass
class CountingBackend:
    """A text's vector is its first token, twice."""

    batch_tokens: int = 512
    slots: int = 8
    codes: list[int] = field(default_factory=list)
    steps: list[list[int]] = field(default_factory=list)
    """First tokens, by step."""
    is_closed: bool = False

    def embed(self, texts: list[list[int]]) -> Vectors:
        assert sum(map(len, texts)) <= self.batch_tokens
        assert len(texts) <= self.slots
        self.steps.append([text[0] for text in texts])
        if self.codes and (code := self.codes.pop(0)):
            raise DecodeFailed(code)
        return np.array([[text[0]] * 2 for text in texts], np.float32)

    def close(self) -> None:
        self.is_closed = True


@dataclass
class Rig:
    backend: CountingBackend = field(default_factory=CountingBackend)
    queue_limit: int = 8
    now: float = 0.0
    seconds_per_look: float = 0.0
    crashes: int = 0

    def __post_init__(self) -> None:
        self.engine = EmbeddingEngine(self.backend, self.queue_limit, self._clock, self._crashed)

    def _clock(self) -> float:
        self.now += self.seconds_per_look
        return self.now

    def _crashed(self) -> None:
        self.crashes += 1

    def ask(self, *firsts: int, size: int = 10, client: str = "", deadline_at: float | None = None) -> Future[Vectors]:
        return self.engine.submit([[first] * size for first in firsts], client, deadline_at)

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            assert self.engine.turn()


def failure(future: Future[Vectors]) -> BaseException | None:
    return future.exception(timeout=0)


def test_texts_of_several_requests_are_read_in_one_step_and_each_gets_its_own() -> None:
    rig = Rig()
    one, other = rig.ask(1, 2), rig.ask(3)
    rig.turn()
    assert rig.backend.steps == [[1, 2, 3]]
    assert one.result(0).tolist() == [[1, 1], [2, 2]]
    assert other.result(0).tolist() == [[3, 3]]


def test_step_has_no_more_texts_than_there_are_slots() -> None:
    rig = Rig(CountingBackend(slots=2))
    asked = rig.ask(1, 2, 3)
    rig.turn()
    assert not asked.done()
    rig.turn()
    assert rig.backend.steps == [[1, 2], [3]]
    assert len(asked.result(0)) == 3


def test_long_text_is_read_alone() -> None:
    rig = Rig(CountingBackend(batch_tokens=2000))
    rig.ask(1, size=2000)
    rig.ask(2, 3)
    rig.turn(2)
    assert rig.backend.steps == [[1], [2, 3]]


def test_library_of_one_client_keeps_no_question_of_another_waiting() -> None:
    rig = Rig(CountingBackend(slots=1))
    rig.ask(*range(1, 9), client="library")
    rig.turn()
    rig.ask(99, client="question")
    rig.turn(2)
    assert [99] in rig.backend.steps[1:3]


def test_full_queue_refuses() -> None:
    rig = Rig(queue_limit=1)
    first, second = rig.ask(1), rig.ask(2)
    rig.turn()
    assert first.done()
    assert isinstance(failure(second), Overloaded)


def test_request_that_cannot_be_answered_in_time_is_told_at_once() -> None:
    rig = Rig(seconds_per_look=1.0)
    rig.ask(1)
    rig.turn()
    hopeless, patient = rig.ask(2, deadline_at=rig.now + 1.5), rig.ask(3, deadline_at=rig.now + 100.0)
    rig.turn()
    assert isinstance(failure(hopeless), Overloaded)
    assert rig.backend.steps == [[1], [3]]
    assert patient.done()


def test_request_that_waits_past_its_deadline_is_refused() -> None:
    rig = Rig(CountingBackend(slots=1))
    rig.ask(1, 2)
    late = rig.ask(3, deadline_at=5.0)
    rig.turn()
    rig.now = 6.0
    rig.turn(2)
    assert isinstance(failure(late), Overloaded)
    assert [3] not in rig.backend.steps


def test_request_that_nobody_waits_for_is_not_read() -> None:
    rig = Rig(CountingBackend(slots=1))
    gone, other = rig.ask(1, 2, 3), rig.ask(4)
    rig.turn()
    assert gone.cancel()
    rig.turn()
    assert rig.backend.steps == [[1], [4]]
    assert other.done()


def test_failed_step_fails_its_requests_and_no_others() -> None:
    rig = Rig(CountingBackend(slots=1, codes=[-1]))
    failed, fine = rig.ask(1, 2), rig.ask(3)
    rig.turn(2)
    assert isinstance(failure(failed), DecodeFailed)
    assert fine.result(0).tolist() == [[3, 3]]


def test_snapshot_counts_what_was_read_and_what_waits() -> None:
    rig = Rig(CountingBackend(slots=1))
    rig.ask(1)
    rig.ask(2)
    rig.turn()
    busy = rig.engine.snapshot()
    assert (busy.running, busy.queued, busy.read_tokens, busy.step_age_seconds) == (0, 1, 10, 0.0)


def test_end_fails_what_waits_and_frees_the_context() -> None:
    rig = Rig()
    rig.engine.start()
    assert rig.ask(1).result(10).tolist() == [[1, 1]]
    assert rig.engine.stop(10)
    assert rig.backend.is_closed
    assert rig.crashes == 0
    with pytest.raises(EngineFailed):
        rig.ask(2)


def test_fatal_step_ends_the_engine_and_is_reported() -> None:
    rig = Rig(CountingBackend(codes=[-3]))
    asked = rig.ask(1)
    rig.engine.start()
    assert isinstance(asked.exception(10), DecodeFailed)
    assert rig.engine.stop(10)
    assert (rig.crashes, rig.backend.is_closed) == (1, True)
