"""What goes out to an upstream: whose key, which fields, which model."""

import json
from collections.abc import Collection
from dataclasses import dataclass

import pytest

from proxy.core.outcome import KeyOwner, Kind, Outcome
from proxy.errors import RequestInvalid
from proxy.upstreams.exchange import Inbox
from proxy.upstreams.transport import AttemptFailed
from proxy.upstreams.upstream import Call, Identity
from proxy.wire.headers import Fields
from tests.unit.stand_ins import FakeGate, FakeUpstream, call

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


@dataclass(frozen=True)
class Sent:
    """A request as it goes out, its head read."""

    line: str
    fields: Fields
    body: bytes

    @property
    def named(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.fields}


def sent_by(
    upstream: FakeUpstream,
    asked: Call,
    model: str | None = None,
    extra: Fields | None = None,
    dropped: Collection[str] = (),
) -> Sent:
    upstream.dispatch(asked, model, Inbox(), connect_seconds=1.5, extra=extra or [], dropped=dropped)
    line, *lines = upstream.last.head.decode("utf-8", "surrogateescape").removesuffix("\r\n\r\n").split("\r\n")
    pairs = [line.split(": ", 1) for line in lines]
    return Sent(line, [(name, value) for name, value in pairs], upstream.last.body)


def sent(identity: Identity, asked: Call, *, model: str | None = None, extra: Fields | None = None) -> Sent:
    return sent_by(FakeUpstream(identity), asked, model, extra)


def test_configured_key_replaces_all_that_the_client_sent() -> None:
    fields = sent(OUR_KEY, call(*CREDENTIALS)).named
    assert fields["authorization"] == "Bearer sk-ours"
    assert {"api-key", "x-api-key", "openai-organization", "openai-project", "cookie"}.isdisjoint(fields)


def test_clients_key_is_forwarded_where_that_is_wanted() -> None:
    fields = sent(CLIENTS_KEY, call(*CREDENTIALS)).fields
    assert [field for field in fields if field in CREDENTIALS] == CREDENTIALS


def test_clients_key_goes_nowhere_else() -> None:
    assert {name.lower() for name, _ in CREDENTIALS}.isdisjoint(sent(ANONYMOUS, call(*CREDENTIALS)).named)


def test_configured_fields_replace_the_clients() -> None:
    identity = Identity("acme", URL, forwards_client_key=True, extra_fields={"openai-organization": "ours"})
    fields = sent(identity, call(*CREDENTIALS)).fields
    assert [value for name, value in fields if name.lower() == "openai-organization"] == ["ours"]


def test_fields_of_the_clients_connection_stay_behind() -> None:
    ours = [("Host", "localhost:8080"), ("Content-Length", "99"), ("Expect", "100-continue"), ("Via", "1.0 x")]
    hop = [("Connection", "close, X-Hop"), ("X-Hop", "1"), ("Transfer-Encoding", "chunked")]
    fields = sent(OUR_KEY, call(*ours, *hop, ("X-Kept", "2"), body=b"{}"), extra=[("x-extra", "1")]).named
    assert {"expect", "connection", "x-hop", "transfer-encoding"}.isdisjoint(fields)
    assert (fields["host"], fields["content-length"]) == ("acme.test", "2")
    assert (fields["x-kept"], fields["via"], fields["x-extra"]) == ("2", "1.1 hotspare", "1")


def test_answer_that_is_looked_into_is_asked_for_uncompressed() -> None:
    assert "accept-encoding" not in sent(OUR_KEY, call(("Accept-Encoding", "gzip, br"))).named


async def test_answer_that_passes_may_be_compressed() -> None:
    upstream = FakeUpstream(OUR_KEY)
    await upstream.send(call(("Accept-Encoding", "br")), connect_seconds=1.5)
    assert ("Accept-Encoding", "br") in upstream.transport.sent[0].fields


async def test_time_to_connect_is_passed_on() -> None:
    upstream = FakeUpstream(OUR_KEY)
    sent_by(upstream, call())
    await upstream.send(call(), connect_seconds=2.5)
    assert (upstream.last.connect_seconds, upstream.transport.connect_seconds) == (1.5, [2.5])


def test_body_is_sent_as_it_came_where_the_name_is_the_same() -> None:
    body = b'{ "model" : "gpt-5" }'
    assert sent(OUR_KEY, call(body=body)).body is body


def test_body_asks_for_the_upstreams_own_name() -> None:
    seen = sent(OUR_KEY, call(body=b'{"model":"gpt-5","n":1}'), model="deployment")
    assert json.loads(seen.body) == {"model": "deployment", "n": 1}
    assert seen.named["content-length"] == str(len(seen.body))


def test_body_goes_without_what_is_dropped() -> None:
    asked = call(body=b'{"model":"m","logit_bias":{"1":-100},"n":1}')
    assert json.loads(sent_by(FakeUpstream(OUR_KEY), asked, "s", dropped=("logit_bias",)).body) == {
        "model": "s",
        "n": 1,
    }


def test_body_that_cannot_name_another_model_is_the_clients_error() -> None:
    with pytest.raises(RequestInvalid):
        sent(OUR_KEY, call(body=b'{"\xff":1,"model":"gpt-5"}'), model="deployment")


def test_path_and_query_are_sent_as_they_came() -> None:
    assert sent(OUR_KEY, call(target="/files/a%2Fb?x=%20&y=+")).line == "POST /v1/files/a%2Fb?x=%20&y=+ HTTP/1.1"


# ---- heads that are kept


def test_head_that_was_rendered_is_sent_again_with_the_length_of_the_body() -> None:
    asked = call(("X-A", "1"), body=b"{}")
    first = sent(OUR_KEY, asked)
    again = sent(OUR_KEY, Call("POST", asked.target, asked.fields, b"{   }", asked.rendered))
    assert again.fields[:-1] == first.fields[:-1]
    assert (first.fields[-1], again.fields[-1]) == (("Content-Length", "2"), ("Content-Length", "5"))


def test_head_that_was_rendered_is_for_one_upstream() -> None:
    asked = call(*CREDENTIALS)
    sent(OUR_KEY, asked)
    assert "authorization" not in sent(Identity("zeus", "https://zeus.test/v1"), asked).named


def test_head_with_fields_of_one_request_is_not_kept() -> None:
    asked = call(("X-Extra", "the client's"))
    assert sent(OUR_KEY, asked, extra=[("x-extra", "1")]).named["x-extra"] == "1"
    assert sent(OUR_KEY, asked, extra=[("x-extra", "2")]).named["x-extra"] == "2"
    assert sent(OUR_KEY, asked).named["x-extra"] == "the client's"


# ---- whose key


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
def test_owner_of_the_key(identity: Identity, fields: Fields, owner: KeyOwner) -> None:
    assert FakeUpstream(identity).key_owner(fields) is owner


@pytest.mark.parametrize(("identity", "is_reachable"), [(OUR_KEY, True), (ANONYMOUS, True), (CLIENTS_KEY, False)])
def test_probe_can_reach_what_needs_no_client(identity: Identity, is_reachable: bool) -> None:
    assert FakeUpstream(identity).needs_no_client is is_reachable


def test_nothing_secret_stands_in_what_is_printed() -> None:
    asked = call(("authorization", "Bearer sk-client"), body=b"a secret")
    identity = Identity("acme", URL, api_key="sk-ours", extra_fields={"x-key": "sk-extra"})
    sent(identity, asked)
    printed = f"{asked!r} {identity!r}"
    assert [word for word in ("sk-", "secret") if word in printed] == []


# ---- the gate


async def test_upstream_without_a_gate_is_always_ready() -> None:
    upstream = FakeUpstream(ANONYMOUS)
    assert (upstream.is_ready, await upstream.wait(0.0)) == (True, True)


@pytest.mark.parametrize("is_open", [True, False])
async def test_upstream_is_as_ready_as_its_gate(is_open: bool) -> None:
    gate = FakeGate(is_open=is_open)
    gate.decide(is_open=is_open)
    upstream = FakeUpstream(ANONYMOUS, gate=gate)
    assert (upstream.is_ready, await upstream.wait(9.0), gate.waits) == (is_open, is_open, [9.0])


@pytest.mark.parametrize(
    ("kind", "doubts"), [(Kind.CONNECT, 1), (Kind.RESET, 1), (Kind.CUT, 1), (Kind.BAD_ANSWER, 0), (Kind.STALL, 0)]
)
async def test_gate_hears_of_it_when_nobody_was_there(kind: Kind, doubts: int) -> None:
    gate = FakeGate(is_open=True)
    upstream = FakeUpstream(ANONYMOUS, AttemptFailed(Outcome(kind)), is_local=True, gate=gate)
    with pytest.raises(AttemptFailed):
        await upstream.send(call(), connect_seconds=1.0)
    assert gate.doubts == doubts


def test_gate_hears_of_a_stream_that_was_cut() -> None:
    gate = FakeGate(is_open=True)
    FakeUpstream(ANONYMOUS, gate=gate).note(Outcome(Kind.CUT))
    assert gate.doubts == 1
