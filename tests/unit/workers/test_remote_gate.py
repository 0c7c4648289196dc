"""The model server's gate as a worker has it."""

import random

from proxy.telemetry.events import Phase
from proxy.upstreams.local import ModelServer, ModelServerSettings
from proxy.workers.gate import RemoteGate, seen
from proxy.workers.messages import Doubted, ModelServerSeen, Wanted
from tests.unit.stand_ins import FakeClock

READY = ModelServerSeen(Phase.READY, {"model": "smollm2"}, "", is_open=True, is_hopeless=False)
SETTINGS = ModelServerSettings((), "/run/model.sock", heartbeat_seconds=5, hang_seconds=30)


async def test_gate_is_shut_until_the_fleet_says_otherwise() -> None:
    gate = RemoteGate(lambda _: None)
    assert not await gate.wait(0.0)
    gate.follow(READY)
    assert await gate.wait(0.0)
    assert (gate.phase, gate.facts) == (Phase.READY, {"model": "smollm2"})


async def test_doubt_shuts_it_at_once_and_is_told() -> None:
    told: list[Doubted | Wanted] = []
    gate = RemoteGate(told.append)
    gate.follow(READY)
    gate.doubt()
    assert told == [Doubted()]
    assert not await gate.wait(0.0)


async def test_whoever_waits_has_the_fleet_wake_it() -> None:
    told: list[Doubted | Wanted] = []
    gate = RemoteGate(told.append)
    gate.follow(ModelServerSeen(Phase.STANDBY, {}, "", is_open=False, is_hopeless=False))
    assert not await gate.wait(0.0)
    assert told == [Wanted()]


async def test_nobody_waits_for_a_model_server_that_cannot_run() -> None:
    gate = RemoteGate(lambda _: None)
    gate.follow(ModelServerSeen(Phase.DOWN, {}, "no such file", is_open=False, is_hopeless=True))
    assert not await gate.wait(3600.0)
    assert gate.trouble == "no such file"


async def test_doubt_of_one_worker_shuts_the_gates_of_all_until_the_next_sign_of_life() -> None:
    workers = [RemoteGate(lambda _: server.doubt()), RemoteGate(lambda _: server.doubt())]

    def show() -> None:
        for worker in workers:
            worker.follow(seen(server))

    server = ModelServer(SETTINGS, FakeClock(), random.Random(0), lambda _: None, show)
    server._hear({"event": "ready", "model": "smollm2"})
    assert [gate.is_open for gate in workers] == [True, True]
    workers[0].doubt()
    assert [gate.is_open for gate in workers] == [False, False]
    server._hear({"event": "beat"})
    assert [gate.is_open for gate in workers] == [True, True]
