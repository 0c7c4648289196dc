"""Limits are noticed, moved and forgotten. The clock stands still; between two looks there is one turn of the loop."""

import pytest

from proxy.server import deadlines as module
from proxy.server.deadlines import Deadlines
from tests.unit.stand_ins import FakeClock, turn


class Task:
    """Something with a limit; notes when it ran out."""

    def __init__(self, clock: FakeClock, limit_at: float) -> None:
        self.limit_at = limit_at
        self.expired: list[float] = []
        self._clock = clock

    def expire(self) -> None:
        self.expired.append(self._clock.now)


class Clumsy(Task):
    """Fails when its time is up."""

    def expire(self) -> None:
        super().expire()
        raise RuntimeError("a mistake")


@pytest.fixture(autouse=True)
def looks_at_every_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PERIOD_SECONDS", 0.0)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def deadlines(clock: FakeClock) -> Deadlines:
    return Deadlines(clock)


async def test_limit_that_has_passed_is_told_once(deadlines: Deadlines, clock: FakeClock) -> None:
    task = Task(clock, clock.now + 5)
    deadlines.watch(task)
    await turn()
    assert task.expired == []
    clock.now += 5
    await turn()
    clock.now += 5
    await turn()
    assert task.expired == [1005.0]


async def test_limit_can_be_moved(deadlines: Deadlines, clock: FakeClock) -> None:
    task = Task(clock, clock.now + 5)
    deadlines.watch(task)
    task.limit_at += 10
    clock.now += 14
    await turn()
    assert task.expired == []
    task.limit_at -= 1
    await turn()
    assert task.expired == [1014.0]
    deadlines.close()


async def test_what_is_forgotten_does_not_expire(deadlines: Deadlines, clock: FakeClock) -> None:
    task, other = Task(clock, clock.now + 5), Task(clock, clock.now + 5)
    deadlines.watch(task)
    deadlines.watch(other)
    deadlines.forget(task)
    deadlines.forget(task)
    clock.now += 6
    await turn()
    assert (task.expired, len(other.expired)) == ([], 1)


async def test_what_is_watched_after_an_idle_time_expires_too(deadlines: Deadlines, clock: FakeClock) -> None:
    deadlines.watch(Task(clock, clock.now))
    await turn()
    task = Task(clock, clock.now)
    deadlines.watch(task)
    await turn()
    assert len(task.expired) == 1


async def test_what_is_watched_when_another_expires_expires_too(deadlines: Deadlines, clock: FakeClock) -> None:
    class Parent(Task):
        def expire(self) -> None:
            super().expire()
            deadlines.watch(child)

    parent, child = Parent(clock, clock.now), Task(clock, clock.now)
    deadlines.watch(parent)
    await turn()
    assert (len(parent.expired), len(child.expired)) == (1, 1)


async def test_what_is_forgotten_when_another_expires_does_not_expire(deadlines: Deadlines, clock: FakeClock) -> None:
    class Twin(Task):
        def expire(self) -> None:
            super().expire()
            for twin in twins:
                deadlines.forget(twin)

    twins = [Twin(clock, clock.now), Twin(clock, clock.now)]
    for twin in twins:
        deadlines.watch(twin)
    await turn()
    assert sum(len(twin.expired) for twin in twins) == 1


@pytest.mark.filterwarnings("ignore")  # the loop tells of the mistake in its own way
async def test_mistake_of_one_does_not_keep_the_others_from_expiring(deadlines: Deadlines, clock: FakeClock) -> None:
    deadlines.watch(Clumsy(clock, clock.now))
    await turn()
    task = Task(clock, clock.now)
    deadlines.watch(task)
    await turn()
    assert len(task.expired) == 1


async def test_nothing_expires_after_the_end(deadlines: Deadlines, clock: FakeClock) -> None:
    task = Task(clock, clock.now)
    deadlines.watch(task)
    deadlines.close()
    await turn()
    assert task.expired == []
