"""When a dead worker's successor starts."""

from proxy.workers.restart import HEALTHY_SECONDS, MAX_SECONDS, Restarts


def test_worker_that_served_is_replaced_at_once() -> None:
    assert Restarts().wait_seconds(HEALTHY_SECONDS) == 0.0


def test_workers_that_die_young_come_back_more_and_more_slowly() -> None:
    restarts = Restarts()
    waits = [restarts.wait_seconds(0.0) for _ in range(10)]
    assert waits[:4] == [0.2, 0.4, 0.8, 1.6]
    assert max(waits) == waits[-1] == MAX_SECONDS


def test_one_life_of_service_erases_the_record() -> None:
    restarts = Restarts()
    for _ in range(5):
        restarts.wait_seconds(0.1)
    restarts.wait_seconds(60.0)
    assert restarts.wait_seconds(0.0) <= 0.4
