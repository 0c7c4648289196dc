"""Which requests the fast lane takes, and what it remembers of them."""

import hashlib
from random import Random

import pytest

from proxy.core.action import Timeouts
from proxy.core.budget import RetryBudget
from proxy.core.candidates import Route, Router
from proxy.core.health import Health
from proxy.core.outcome import Kind
from proxy.errors import RequestInvalid
from proxy.server import lane as module
from proxy.server.account import CLIENT_GONE
from proxy.server.attempt import Facilities
from proxy.server.drive import Means
from proxy.server.journal import Budget
from proxy.server.lane import Lane
from proxy.server.middleware import InFlight, Reception
from proxy.server.relay import Draining, Relay
from proxy.server.reply import Reply
from proxy.server.settings import Client, ServerSettings
from proxy.telemetry.events import Endpoint, Event, FaultCaught, RequestEnded, Result
from proxy.upstreams.pool import Pool
from tests.unit.stand_ins import FakeClient, FakeClock, FakeDeadlines

BILLING = Client("billing", hashlib.sha256(b"sk-billing").digest())
BODY = b'{"model":"gpt-5"}'


def request(*lines: bytes, path: bytes = b"/v1/chat/completions", length: int = len(BODY)) -> bytes:
    head = [b"POST %b HTTP/1.1" % path, b"Host: p", *lines, b"Content-Length: %d" % length]
    return b"\r\n".join(head) + b"\r\n\r\n" + BODY


class Entry:
    """A lane into a proxy without upstreams, and what it told."""

    def __init__(self, *clients: Client) -> None:
        self.events: list[Event] = []
        self.in_flight = InFlight()
        clock = FakeClock()
        deadlines = FakeDeadlines(clock)
        settings = ServerSettings(1000, 30.0, 60.0, 20.0, {"acme": Timeouts()}, clients)
        reception = Reception(clients, clock, self.events.append, self.in_flight, frozenset())
        pool = Pool({}, Health({}), clock, self.events.append)
        means = Means(
            pool, Facilities(clock, deadlines, Budget()), self.events.append, RetryBudget(clock.now), Random(1)
        )
        relay = Relay(means, Router([], Route("*", ())), settings, Draining())
        self.lane = Lane(reception, relay, deadlines)


def test_plain_request_is_found_with_its_body() -> None:
    data = request() + b"more"
    found = Entry().lane.find(data)
    assert found
    frame, known = found
    seen = (data[frame.body_at : frame.end], known.endpoint, known.asked.target)
    assert seen == (BODY, Endpoint.CHAT, "/chat/completions")


def test_head_is_read_once_whatever_the_length_of_the_body() -> None:
    lane = Entry().lane
    first, again = lane.find(request(length=17)), lane.find(request(length=5))
    assert first
    assert again
    assert (first[1] is again[1], again[0].end - again[0].body_at) == (True, 5)


@pytest.mark.parametrize("other", [b"Authorization: Bearer k", b"X-A: 1", b"host: p"])
def test_head_that_differs_in_anything_is_another(other: bytes) -> None:
    lane = Entry().lane
    first, found = lane.find(request()), lane.find(request(other))
    assert first
    assert found is None or found[1] is not first[1]


def test_number_of_heads_that_are_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_HEADS", 3)
    lane = Entry().lane
    known = [lane.find(request(b"X-Trace: %d" % number)) for number in range(10)]
    assert all(known)
    assert len(lane._known) <= 3


def test_client_is_known_by_its_key() -> None:
    found = Entry(BILLING).lane.find(request(b"Authorization: Bearer sk-billing"))
    assert found
    assert found[1].client == "billing"


@pytest.mark.parametrize("line", [b"X-A: 1", b"Authorization: Bearer sk-other", b"Authorization: Basic sk-billing"])
def test_stranger_is_left_to_aiohttp_every_time(line: bytes) -> None:
    lane = Entry(BILLING).lane
    assert [lane.find(request(line)), lane.find(request(line))] == [None, None]


@pytest.mark.parametrize("data", [request()[:30], request(length=1001), request(b"Expect: 100-continue"), b"", b"\r\n"])
def test_what_is_not_plain_is_left_to_aiohttp(data: bytes) -> None:
    assert Entry().lane.find(data) is None


def test_request_id_is_the_clients_if_it_is_fit() -> None:
    lane = Entry().lane
    fit, unfit = lane.find(request(b"X-Request-ID: trace-7")), lane.find(request(b"X-Request-ID: a b"))
    assert fit
    assert unfit
    ids = [lane.open(known).request_id for _, known in (fit, unfit, unfit)]
    assert (ids[0], len(set(ids)), "a b" in ids) == ("trace-7", 3, False)


def test_patience_of_the_client_is_its_deadline_where_it_is_shorter() -> None:
    lane = Entry().lane
    short, long = lane.find(request(b"X-Stainless-Timeout: 10")), lane.find(request(b"X-Stainless-Timeout: 600"))
    assert short
    assert long
    assert (short[1].asked.deadline_seconds, short[1].asked.deadline_kind) == (9.5, Kind.CLIENT_DEADLINE)
    assert (long[1].asked.deadline_seconds, long[1].asked.deadline_kind) == (60.0, Kind.DEADLINE)


@pytest.mark.parametrize("endpoint", [Endpoint.CHAT, Endpoint.COMPLETIONS, Endpoint.EMBEDDINGS])
def test_request_is_accounted_for_from_its_beginning_to_its_end(endpoint: Endpoint) -> None:
    entry = Entry()
    found = entry.lane.find(request(path=f"/v1/{endpoint.value}".encode()))
    assert found
    account = entry.lane.open(found[1])
    assert entry.in_flight.count == 1
    entry.lane.close(account, 200)
    (event,) = entry.events
    assert isinstance(event, RequestEnded)
    assert (event.endpoint, event.method, event.status, entry.in_flight.count) == (endpoint, "POST", 200, 0)


def test_client_that_leaves_before_its_request_is_whole_is_accounted_for() -> None:
    entry = Entry()
    found = entry.lane.find(request(length=100))
    assert found
    entry.lane.gone(entry.lane.open(found[1]))
    (event,) = entry.events
    assert isinstance(event, RequestEnded)
    assert (event.status, event.result, entry.in_flight.count) == (CLIENT_GONE, Result.CLIENT_GONE, 0)


def test_invalid_body_is_refused_in_the_shape_of_openai() -> None:
    entry, client, ended = Entry(), FakeClient(), list[int]()
    found = entry.lane.find(request())
    assert found
    account = entry.lane.open(found[1])
    with pytest.raises(RequestInvalid) as caught:
        entry.lane.drive(found[1], b"{", account, Reply(client), ended.append)
    assert entry.lane.refuse(account, caught.value, Reply(client)) == 400
    assert client.written.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert (b'"invalid_json"' in client.written, account.result, ended) == (True, Result.CALLER_ERROR, [])


def test_mistake_of_ours_is_told_and_answered_in_the_shape_of_openai() -> None:
    entry, client, mistake = Entry(), FakeClient(), RuntimeError("a mistake")
    found = entry.lane.find(request())
    assert found
    account = entry.lane.open(found[1])
    assert entry.lane.fault(account, mistake, Reply(client)) == 500
    assert client.written.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert (b'"proxy_fault"' in client.written, account.result) == (True, Result.FAULT)
    assert entry.events == [FaultCaught("request", mistake)]


def test_request_for_which_there_is_nobody_is_answered_at_once() -> None:
    entry, client, ended = Entry(), FakeClient(), list[int]()
    found = entry.lane.find(request())
    assert found
    entry.lane.drive(found[1], BODY, entry.lane.open(found[1]), Reply(client), ended.append).begin()
    assert (ended, b"none is configured" in client.written) == ([503], True)
