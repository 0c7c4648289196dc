"""The background probe: what it sends, and what it makes of the answer."""

import asyncio
import json

import pytest

from proxy.core.action import Timeouts
from proxy.core.breaker import BreakerSettings, Permit, State
from proxy.core.health import Health, HealthPolicy, Key
from proxy.core.outcome import Kind, Outcome
from proxy.telemetry.events import BreakerChanged, Event, FaultCaught
from proxy.upstreams.pool import Pool
from proxy.upstreams.probe import Prober
from proxy.upstreams.transport import AttemptFailed, Outgoing
from proxy.upstreams.upstream import Identity
from proxy.wire import sse
from tests.unit.stand_ins import EVENT_STREAM, FakeClock, FakeExchange, FakeUpstream

KEY = Key("acme", "gpt-5")
ROLE = sse.event(b'{"choices":[{"delta":{"role":"assistant","content":""}}]}')
TEXT = sse.event(b'{"choices":[{"delta":{"content":"p"}}]}')
STOP = sse.event(b'{"choices":[{"delta":{},"finish_reason":"length"}]}')
ERROR = sse.event(b'{"error":{"message":"overloaded"}}')


class Recovery:
    """A breaker that is open, its cooldown over, and a prober that may look."""

    def __init__(self, answer: FakeExchange | AttemptFailed, endpoint: str = "chat/completions") -> None:
        self.events: list[Event] = []
        self.clock = FakeClock()
        self.upstream = FakeUpstream(Identity("acme", "https://acme.test/v1", api_key="k"), answer)
        health = Health({"acme": HealthPolicy(BreakerSettings(), is_probed=True)})
        self.pool = Pool({"acme": self.upstream}, health, self.clock, self.events.append)
        self.prober = Prober(self.pool, {"acme": Timeouts()}, self.clock, self.events.append)
        for _ in range(3):
            permit = self.pool.acquire(KEY, endpoint)
            assert isinstance(permit, Permit)
            self.pool.report(KEY, permit, Outcome(Kind.RESET))
        self.clock.now += 10

    async def tick(self) -> State:
        """One look around, and the state that comes of it."""
        self.prober._start_due()
        await asyncio.gather(*self.prober._errands._running, return_exceptions=True)
        await asyncio.sleep(0)
        return self.state

    @property
    def state(self) -> State:
        (state,) = self.pool.states()["acme"]
        return state

    @property
    def sent(self) -> list[Outgoing]:
        return self.upstream.transport.sent


def stream(*pieces: bytes) -> FakeExchange:
    return FakeExchange(pieces, fields=EVENT_STREAM)


@pytest.mark.parametrize(
    ("endpoint", "field"), [("chat/completions", "messages"), ("completions", "prompt"), ("embeddings", "input")]
)
async def test_probe_is_a_tiny_real_request_on_the_endpoint_that_failed(endpoint: str, field: str) -> None:
    recovery = Recovery(stream(TEXT), endpoint)
    await recovery.tick()
    (outgoing,) = recovery.sent
    assert isinstance(outgoing.body, bytes)
    body = json.loads(outgoing.body)
    assert (outgoing.method, outgoing.target) == ("POST", f"/{endpoint}")
    assert (body["model"], field in body, len(outgoing.body) < 200) == ("gpt-5", True, True)


@pytest.mark.parametrize("pieces", [[TEXT], [b": ping\n\n", ROLE, TEXT], [ROLE, STOP], [TEXT[:9], TEXT[9:]]])
async def test_two_probes_with_content_are_proof(pieces: list[bytes]) -> None:
    recovery = Recovery(stream(*pieces))
    states = [await recovery.tick(), await recovery.tick()]
    assert states == [State.HALF_OPEN, State.RAMPING]


async def test_whole_answer_is_a_proof_too() -> None:
    recovery = Recovery(FakeExchange([b'{"object":"list","data":[]}']), "embeddings")
    await recovery.tick()
    await recovery.tick()
    assert recovery.state is State.RAMPING


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(AttemptFailed(Outcome(Kind.CONNECT)), id="nobody there"),
        pytest.param(FakeExchange([b"{}"], status=503), id="server error"),
        pytest.param(FakeExchange([b"{}"], status=401), id="key refused"),
        pytest.param(FakeExchange([b"{}"], status=429), id="rate limited"),
        pytest.param(FakeExchange([b"<html>"], fields=[("Content-Type", "text/html")]), id="HTML"),
        pytest.param(FakeExchange([b'{"error":{}}']), id="error under 200"),
        pytest.param(stream(ERROR), id="error event"),
        pytest.param(stream(ROLE, b": ping\n\n"), id="a role and no content"),
    ],
)
async def test_probe_without_proof_opens_again(answer: FakeExchange | AttemptFailed) -> None:
    recovery = Recovery(answer)
    await recovery.tick()
    assert recovery.state is State.OPEN


async def test_event_without_end_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1000)
    recovery = Recovery(stream(*[b": still here" * 20] * 10, b"\n\n", TEXT))
    await recovery.tick()
    *_, last = recovery.events
    assert isinstance(last, BreakerChanged)
    assert (last.after, last.cause) == (State.OPEN, Kind.BAD_ANSWER)


async def test_malformed_probe_proves_nothing() -> None:
    recovery = Recovery(FakeExchange([b"{}"], status=400))
    await recovery.tick()
    assert recovery.state is State.HALF_OPEN


@pytest.mark.parametrize("field", [("Retry-After", "45"), ("x-ratelimit-reset-tokens", "45s")])
async def test_rate_limited_probe_waits_for_as_long_as_it_was_told(field: tuple[str, str]) -> None:
    recovery = Recovery(FakeExchange([b"{}"], status=429, fields=[field]))
    await recovery.tick()
    recovery.clock.now += 44
    await recovery.tick()
    assert len(recovery.sent) == 1
    recovery.clock.now += 1
    await recovery.tick()
    assert len(recovery.sent) == 2


async def test_nothing_is_probed_before_the_cooldown_is_over() -> None:
    recovery = Recovery(stream(TEXT))
    recovery.clock.now -= 0.1
    await recovery.tick()
    assert recovery.sent == []


async def test_one_probe_at_a_time() -> None:
    recovery = Recovery(stream(TEXT))
    recovery.prober._start_due()
    recovery.prober._start_due()
    assert len(recovery.prober._errands._running) == 1
    await recovery.tick()


async def test_probe_is_cut_at_its_first_content() -> None:
    exchange = stream(ROLE, TEXT, TEXT, TEXT)
    await Recovery(exchange).tick()
    assert exchange.is_closed


async def test_fault_in_a_probe_is_told_and_frees_the_place() -> None:
    recovery = Recovery(stream(TEXT), "files")
    await recovery.tick()
    assert [event.where for event in recovery.events if isinstance(event, FaultCaught)] == ["probe"]
    recovery.clock.now += 60
    assert isinstance(recovery.pool.acquire_probe(KEY), Permit)
