"""Which idle connection is next, and which are given up. Time goes by in ticks."""

from dataclasses import dataclass

from proxy.upstreams import idle
from proxy.upstreams.idle import IdlePool


@dataclass(eq=False)
class Line:
    """A connection, as far as the pool is concerned."""

    born_tick: int = 0
    is_dead: bool = False

    def is_closing(self) -> bool:
        return self.is_dead


def pool_of(*lines: Line) -> IdlePool[Line]:
    pool: IdlePool[Line] = IdlePool()
    assert all(pool.put(line) for line in lines)
    return pool


def after(pool: IdlePool[Line], ticks: int) -> list[Line]:
    return [line for _ in range(ticks) for line in pool.advance()]


def test_last_in_is_first_out() -> None:
    first, second, third = Line(), Line(), Line()
    pool = pool_of(first, second, third)
    assert [pool.take() for _ in range(4)] == [third, second, first, None]


def test_dead_ones_are_passed_over() -> None:
    alive = Line()
    assert pool_of(alive, Line(is_dead=True)).take() is alive


def test_removed_one_is_not_given_out() -> None:
    line = Line()
    pool = pool_of(line)
    pool.remove(line)
    pool.remove(line)
    assert pool.take() is None


def test_idle_for_too_long() -> None:
    line = Line()
    pool = pool_of(line)
    assert (after(pool, idle.IDLE_TICKS - 1), after(pool, 1), len(pool)) == ([], [line], 0)


def test_use_makes_young_again() -> None:
    line = Line()
    pool = pool_of(line)
    after(pool, idle.IDLE_TICKS - 1)
    assert pool.take() is line
    pool.put(line)
    assert after(pool, idle.IDLE_TICKS - 1) == []


def test_old_one_is_not_taken_back() -> None:
    pool = pool_of()
    after(pool, idle.LIFE_TICKS)
    assert (pool.put(Line(born_tick=0)), pool.put(Line(born_tick=1))) == (False, True)


def test_old_one_is_given_up_though_it_was_just_used() -> None:
    pool = pool_of()
    after(pool, idle.LIFE_TICKS - 1)
    line = Line(born_tick=0)
    pool.put(line)
    assert after(pool, 1) == [line]


def test_there_is_room_for_so_many() -> None:
    pool = pool_of(*(Line() for _ in range(idle.IDLE_COUNT)))
    assert not pool.put(Line())
