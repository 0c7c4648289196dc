"""What goes out to an upstream: whose key, which fields, which model."""

import json

import pytest

from proxy.core.outcome import KeyOwner, Kind, Outcome
from proxy.upstreams.transport import AttemptFailed, Outgoing
from proxy.upstreams.upstream import Call, Gate, Identity
from tests.unit.stand_ins import FakeExchange, FakeUpstream, call

URL = "https://acme.test/v1"
OUR_KEY = Identity("acme", URL, api_key="sk-ours")
CLIENTS_KEY = Identity("acme", URL, forwards_client_key=True)
ANONYMOUS = Identity("acme", URL)
CREDENTIALS = [
    ("Authorization", "Bearer sk-client"),
    ("api-key", "azure"),
    ("X-API-Key", "anthropic"),
    ("OpenAI-Organization", "org"),
    ("OpenAI-Project", "proj"),
    ("Cookie", "session=1"),
]


async def sent(identity: Identity, asked: Call, *, model: str | None = None) -> Outgoing:
    upstream = FakeUpstream(identity, FakeExchange())
    await upstream.ask(asked, model, connect_seconds=1.0, patience_seconds=1.0, extra=[("x-extra", "1")])
    return upstream.transport.sent[0]


def named(outgoing: Outgoing) -> dict[str, str]:
    return {name.lower(): value for name, value in outgoing.fields}


async def test_configured_key_replaces_all_that_the_client_sent() -> None:
    fields = named(await sent(OUR_KEY, call(*CREDENTIALS)))
    assert fields["authorization"] == "Bearer sk-ours"
    assert {"api-key", "x-api-key", "openai-organization", "openai-project", "cookie"}.isdisjoint(fields)


async def test_clients_key_is_forwarded_where_that_is_wanted() -> None:
    fields = (await sent(CLIENTS_KEY, call(*CREDENTIALS))).fields
    assert [field for field in fields if field in CREDENTIALS] == CREDENTIALS


async def test_clients_key_goes_nowhere_else() -> None:
    fields = named(await sent(ANONYMOUS, call(*CREDENTIALS)))
    assert {name.lower() for name, _ in CREDENTIALS}.isdisjoint(fields)


async def test_configured_fields_replace_the_clients() -> None:
    identity = Identity("acme", URL, forwards_client_key=True, extra_fields={"openai-organization": "ours"})
    fields = (await sent(identity, call(*CREDENTIALS))).fields
    assert [value for name, value in fields if name.lower() == "openai-organization"] == ["ours"]


async def test_fields_of_the_clients_connection_stay_behind() -> None:
    ours = [("Host", "localhost:8080"), ("Content-Length", "17"), ("Expect", "100-continue"), ("Via", "1.0 x")]
    hop = [("Connection", "close, X-Hop"), ("X-Hop", "1"), ("Transfer-Encoding", "chunked")]
    fields = named(await sent(OUR_KEY, call(*ours, *hop, ("X-Kept", "2"))))
    assert {"host", "content-length", "expect", "connection", "x-hop", "transfer-encoding"}.isdisjoint(fields)
    assert (fields["x-kept"], fields["via"], fields["x-extra"]) == ("2", "1.1 hotspare", "1")


async def test_answer_that_is_looked_into_is_asked_for_uncompressed() -> None:
    assert "accept-encoding" not in named(await sent(OUR_KEY, call(("Accept-Encoding", "gzip, br"))))


async def test_answer_that_passes_may_be_compressed() -> None:
    upstream = FakeUpstream(OUR_KEY, FakeExchange())
    await upstream.pass_on(call(("Accept-Encoding", "br")), connect_seconds=1.0)
    assert named(upstream.transport.sent[0])["accept-encoding"] == "br"


async def test_body_is_sent_as_it_came_where_the_name_is_the_same() -> None:
    body = b'{ "model" : "gpt-5" }'
    assert (await sent(OUR_KEY, call(body=body))).body is body


async def test_body_asks_for_the_upstreams_own_name() -> None:
    outgoing = await sent(OUR_KEY, call(body=b'{"model":"gpt-5","n":1}'), model="deployment")
    assert isinstance(outgoing.body, bytes)
    assert json.loads(outgoing.body) == {"model": "deployment", "n": 1}


async def test_path_and_query_are_sent_as_they_came() -> None:
    target = "/files/a%2Fb?x=%20&y=+"
    assert str((await sent(OUR_KEY, call(target=target))).url) == URL + target


@pytest.mark.parametrize(
    ("identity", "fields", "owner"),
    [
        (OUR_KEY, CREDENTIALS, KeyOwner.UPSTREAM),
        (ANONYMOUS, CREDENTIALS, KeyOwner.NOBODY),
        (CLIENTS_KEY, [("authorization", "Bearer sk-1")], KeyOwner.CLIENT),
        (CLIENTS_KEY, [("AUTHORIZATION", "Basic dTpw")], KeyOwner.CLIENT),
        (CLIENTS_KEY, [("Api-Key", "k")], KeyOwner.CLIENT),
        (CLIENTS_KEY, [("x-api-key", "k"), ("authorization", "Bearer none")], KeyOwner.CLIENT),
        (CLIENTS_KEY, [("authorization", "Bearer not-needed")], KeyOwner.NOBODY),
        (CLIENTS_KEY, [], KeyOwner.NOBODY),
    ],
)
def test_owner_of_the_key(identity: Identity, fields: list[tuple[str, str]], owner: KeyOwner) -> None:
    assert FakeUpstream(identity, FakeExchange()).key_owner(fields) is owner


@pytest.mark.parametrize(("identity", "is_reachable"), [(OUR_KEY, True), (ANONYMOUS, True), (CLIENTS_KEY, False)])
def test_probe_can_reach_what_needs_no_client(identity: Identity, is_reachable: bool) -> None:
    assert FakeUpstream(identity, FakeExchange()).needs_no_client is is_reachable


def test_nothing_secret_stands_in_what_is_printed() -> None:
    asked = call(("authorization", "Bearer sk-client"), body=b"a secret")
    identity = Identity("acme", URL, api_key="sk-ours", extra_fields={"x-key": "sk-extra"})
    printed = f"{asked!r} {identity!r}"
    assert [word for word in ("sk-", "secret") if word in printed] == []


class Watched(Gate):
    """A gate that is open or not, and counts doubts."""

    def __init__(self, *, is_open: bool) -> None:
        self.is_open = is_open
        self.doubts = 0
        self.waits: list[float] = []

    async def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return self.is_open

    def doubt(self) -> None:
        self.doubts += 1


def gated(gate: Gate, answer: FakeExchange | AttemptFailed) -> FakeUpstream:
    upstream = FakeUpstream(ANONYMOUS, answer, is_local=True)
    upstream._gate = gate
    return upstream


async def test_closed_gate_lets_nothing_out() -> None:
    gate = Watched(is_open=False)
    upstream = gated(gate, FakeExchange())
    with pytest.raises(AttemptFailed) as caught:
        await upstream.ask(call(), None, connect_seconds=1.0, patience_seconds=9.0, extra=[])
    assert (caught.value.outcome.kind, gate.waits, upstream.transport.sent) == (Kind.UNAVAILABLE, [9.0], [])


@pytest.mark.parametrize(
    ("kind", "doubts"), [(Kind.CONNECT, 1), (Kind.RESET, 1), (Kind.CUT, 1), (Kind.BAD_ANSWER, 0), (Kind.STALL, 0)]
)
async def test_gate_hears_of_it_when_nobody_was_there(kind: Kind, doubts: int) -> None:
    gate = Watched(is_open=True)
    with pytest.raises(AttemptFailed):
        await gated(gate, AttemptFailed(Outcome(kind))).pass_on(call(), connect_seconds=1.0)
    assert gate.doubts == doubts


def test_gate_hears_of_a_stream_that_was_cut() -> None:
    gate = Watched(is_open=True)
    gated(gate, FakeExchange()).note(Outcome(Kind.CUT))
    assert gate.doubts == 1
