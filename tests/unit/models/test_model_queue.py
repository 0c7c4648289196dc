import pytest

from models.engine.params import SamplingParams
from models.engine.queue import FairQueue
from models.engine.sequence import Sequence


def sequence(number: int, client: str = "a", cost: int = 10, weight: float = 1.0) -> Sequence:
    params = SamplingParams(max_tokens=cost - 1, seed=0)
    return Sequence(number, client, [1], params, lambda event: None, weight=weight)


def queue(*sequences: Sequence) -> FairQueue:
    made = FairQueue()
    for each in sequences:
        made.push(each)
    return made


def serve(made: FairQueue, times: int = 99) -> list[int]:
    order: list[int] = []
    while (found := made.peek()) is not None and len(order) < times:
        made.take(found)
        order.append(found.id)
    return order


def test_nobody_waits_in_an_empty_queue() -> None:
    assert queue().peek() is None
    assert len(queue()) == 0


def test_client_is_served_in_the_order_in_which_it_asked() -> None:
    assert serve(queue(*map(sequence, range(5)))) == [0, 1, 2, 3, 4]


def test_clients_with_equal_work_take_turns() -> None:
    made = queue(sequence(0), sequence(1), sequence(2, "b"), sequence(3, "b"))
    assert serve(made) == [0, 2, 1, 3]


def test_client_with_small_requests_gets_more_of_them() -> None:
    large = [sequence(number, "large", cost=40) for number in range(3)]
    small = [sequence(10 + number, "small", cost=10) for number in range(8)]
    assert serve(queue(*large, *small), times=6) == [0, 10, 11, 12, 13, 1]


def test_weight_multiplies_what_a_client_gets() -> None:
    heavy = [sequence(number, "heavy", weight=3.0) for number in range(9)]
    light = [sequence(10 + number, "light") for number in range(9)]
    first = serve(queue(*heavy, *light), times=8)
    assert sum(number < 10 for number in first) == 6


def test_absence_saves_nothing_up() -> None:
    made = queue(*map(sequence, range(6)))
    assert serve(made, times=4) == [0, 1, 2, 3]
    for number in range(10, 16):
        made.push(sequence(number, "late"))
    assert serve(made, times=3) == [10, 4, 11]


def test_coming_back_wipes_out_no_debt() -> None:
    made = queue(sequence(0, cost=90), sequence(1, "b"), sequence(2, "b"), sequence(3, "b"))
    assert serve(made, times=2) == [0, 1]
    made.push(sequence(4))
    assert serve(made) == [2, 3, 4]


def test_clients_are_forgotten_when_nobody_waits() -> None:
    made = FairQueue()
    for number in range(200):
        made.push(sequence(number, client=f"client {number}"))
        serve(made)
    assert len(made._served) <= 1


def test_flood_loses_its_newest() -> None:
    made = queue(sequence(0), sequence(1, "flood"), sequence(2, "flood"), sequence(3, "b"))
    assert made.pop_newest_of_longest().id == 2
    assert sorted(each.id for each in made.waiting()) == [0, 1, 3]


def test_whoever_leaves_is_not_charged() -> None:
    leaving, staying = sequence(0, cost=100), sequence(1)
    made = queue(leaving, staying, sequence(2, "b"))
    made.remove(leaving)
    assert len(made) == 2
    assert serve(made) == [1, 2]


def test_who_is_not_there_cannot_leave() -> None:
    made = queue(sequence(0))
    with pytest.raises(KeyError):
        made.remove(sequence(1, "b"))
    with pytest.raises(ValueError, match="not in"):
        made.remove(sequence(0))
