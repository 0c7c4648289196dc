"""The thread that owns a model: what becomes of commands when it ends."""

import logging
import threading

import pytest

from models.engine.owner import Owner
from models.errors import EngineFailed

PATIENCE_SECONDS = 10.0


class Reader:
    """Takes numbers, and dies of 13."""

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.unread: list[int] = []
        self.reason = ""
        self.crashes = 0
        self.owner: Owner[int] = Owner(self._turn, self._close, self._crashed)

    def _turn(self) -> bool:
        for number in self.owner.commands(is_idle=True):
            if number is None:
                return False
            if number == 13:
                raise ArithmeticError
            self.taken.append(number)
        return True

    def _close(self, reason: EngineFailed, unread: list[int]) -> None:
        self.reason = str(reason)
        self.unread += unread

    def _crashed(self) -> None:
        self.crashes += 1


def test_what_comes_before_the_end_is_taken_in_order() -> None:
    reader = Reader()
    for number in (1, 2, 3):
        reader.owner.put(number)
    reader.owner.start()
    assert reader.owner.stop(PATIENCE_SECONDS)
    assert (reader.taken, reader.reason, reader.crashes) == ([1, 2, 3], "the local model is shutting down", 0)


def test_crash_is_logged_and_told_to_all_that_waited(caplog: pytest.LogCaptureFixture) -> None:
    reader = Reader()
    for number in (1, 13, 2):
        reader.owner.put(number)
    reader.owner.start()
    assert reader.owner.stop(PATIENCE_SECONDS)
    assert (reader.taken, reader.unread, reader.reason) == ([1], [2], "the local model has crashed")
    assert reader.crashes == 1
    assert [record.levelno for record in caplog.records] == [logging.CRITICAL]


def test_nothing_can_be_left_behind_the_end() -> None:
    reader = Reader()
    reader.owner.start()
    assert reader.owner.stop(PATIENCE_SECONDS)
    with pytest.raises(EngineFailed):
        reader.owner.put(1)


def test_whatever_was_accepted_while_it_ended_is_taken_or_told() -> None:
    reader, accepted = Reader(), [0, 0, 0]

    def fill(number: int) -> None:
        try:
            while True:
                reader.owner.put(number)
                accepted[number] += 1
        except EngineFailed:
            return

    writers = [threading.Thread(target=fill, args=(number,)) for number in range(3)]
    reader.owner.start()
    for writer in writers:
        writer.start()
    assert reader.owner.stop(PATIENCE_SECONDS)
    for writer in writers:
        writer.join(PATIENCE_SECONDS)
    seen = reader.taken + reader.unread
    assert [seen.count(number) for number in range(3)] == accepted


def test_end_that_takes_too_long_is_told() -> None:
    may_end = threading.Event()
    owner: Owner[int] = Owner(lambda: not may_end.wait(PATIENCE_SECONDS), lambda reason, unread: None, lambda: None)
    owner.start()
    assert not owner.stop(timeout=0)
    may_end.set()
    assert owner.stop(PATIENCE_SECONDS)
