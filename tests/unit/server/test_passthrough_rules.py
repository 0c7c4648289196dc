"""What is never passed on, and to whom it goes otherwise."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from proxy.core.action import Timeouts, Tried
from proxy.core.outcome import Kind, Outcome
from proxy.errors import RequestInvalid
from proxy.server.account import ACCOUNT, Account
from proxy.server.passthrough import Passthrough
from proxy.telemetry.events import Endpoint
from proxy.upstreams.transport import AttemptFailed
from proxy.upstreams.upstream import Identity
from tests.unit.stand_ins import FakeUpstream


def cloud(name: str, kind: Kind) -> FakeUpstream:
    return FakeUpstream(Identity(name, f"https://{name}.test/v1", api_key="k"), AttemptFailed(Outcome(kind)))


async def send(clouds: list[FakeUpstream], target: str, **headers: str) -> tuple[web.StreamResponse, Account]:
    request = make_mocked_request("GET", f"/v1{target}", headers=headers)
    account = request[ACCOUNT] = Account("req-1", Endpoint.OTHER, "GET", started_at=0.0)
    timeouts = {each.name: Timeouts(connect_seconds=1.5) for each in clouds}
    return await Passthrough(clouds, timeouts).handle(request, target), account


@pytest.mark.parametrize(
    "target",
    ["/../admin", "/files/..", "/files/%2e%2E/x", "/files/.%2e/x", "/./files", "/files/%2E?x=1", "/a/..%2fadmin"],
)
async def test_path_that_climbs_out_is_refused(target: str) -> None:
    acme = cloud("acme", Kind.RESET)
    with pytest.raises(RequestInvalid):
        await send([acme], target)
    assert acme.transport.sent == []


@pytest.mark.parametrize("target", ["/files/a..b", "/files?path=../x", "/files/...", "/files/.hidden"])
async def test_dots_that_climb_nowhere_pass_unchanged(target: str) -> None:
    acme = cloud("acme", Kind.RESET)
    await send([acme], target)
    assert [sent.target for sent in acme.transport.sent] == [target]


async def test_upgrade_is_refused() -> None:
    with pytest.raises(RequestInvalid) as caught:
        await send([cloud("acme", Kind.RESET)], "/realtime", Connection="keep-alive, Upgrade", Upgrade="websocket")
    assert caught.value.status == 501


async def test_without_a_cloud_there_is_no_such_path() -> None:
    with pytest.raises(RequestInvalid) as caught:
        await send([], "/files")
    assert caught.value.status == 404


@pytest.mark.parametrize("kind", [Kind.DNS, Kind.CONNECT, Kind.CONNECT_TIMEOUT, Kind.TLS])
async def test_stateless_path_goes_to_the_next_cloud_while_nothing_was_sent(kind: Kind) -> None:
    response, account = await send([cloud("acme", kind), cloud("zeus", Kind.RESET)], "/moderations")
    assert account.tried == (Tried("acme", kind), Tried("zeus", Kind.RESET))
    assert (response.status, account.attempts) == (503, 2)


async def test_request_that_may_have_arrived_is_not_sent_twice() -> None:
    zeus = cloud("zeus", Kind.CONNECT)
    await send([cloud("acme", Kind.RESET), zeus], "/moderations")
    assert zeus.transport.sent == []


async def test_path_that_refers_to_what_is_stored_stays_with_the_first_cloud() -> None:
    zeus = cloud("zeus", Kind.CONNECT)
    response, account = await send([cloud("acme", Kind.CONNECT), zeus], "/files/file-1")
    assert (response.status, account.tried) == (503, (Tried("acme", Kind.CONNECT),))
    assert zeus.transport.sent == []
