"""The answer's fields, and the one error when nobody is left."""

import json
from types import MappingProxyType

from aiohttp import web

from proxy.core.candidates import Need, Plan
from proxy.core.failover import GiveUp, Tried
from proxy.core.outcome import Kind
from proxy.server.account import Account
from proxy.server.response import answer_fields, error_response, unavailable
from proxy.telemetry.events import Endpoint, Result

EVERYBODY = Plan((), MappingProxyType({}))


def account() -> Account:
    return Account("req-1", Endpoint.CHAT, "POST", started_at=0.0, upstream="acme", model="gpt-5")


def error(response: web.Response) -> dict[str, object]:
    assert isinstance(response.body, bytes)
    found: dict[str, object] = json.loads(response.body)["error"]
    return found


def test_upstreams_fields_pass_and_ours_are_added() -> None:
    fields = answer_fields([("X-RateLimit-Remaining", "9"), ("Content-Type", "application/json")], account())
    assert fields["x-ratelimit-remaining"] == "9"
    assert fields["x-hotspare-upstream"] == "acme"
    assert fields["Via"] == "1.1 hotspare"


def test_framing_of_the_upstreams_connection_does_not_pass() -> None:
    upstream = [("Content-Length", "5"), ("Transfer-Encoding", "chunked"), ("Connection", "close, x-a"), ("X-A", "1")]
    assert {"Content-Length", "Transfer-Encoding", "Connection", "X-A"}.isdisjoint(answer_fields(upstream, account()))


def test_request_id_of_the_upstream_is_kept() -> None:
    assert answer_fields([("X-Request-ID", "req_cloud")], account()).getall("x-request-id") == ["req_cloud"]
    assert answer_fields([], account())["x-request-id"] == "req-1"


def test_upstream_cannot_say_who_answered() -> None:
    fields = answer_fields([("X-Hotspare-Upstream", "forged"), ("x-hotspare-upstream", "twice")], account())
    assert fields.getall("x-hotspare-upstream") == ["acme"]


def test_error_has_its_type_by_whose_fault_it_is() -> None:
    assert error(error_response(404, "x", account()))["type"] == "invalid_request_error"
    assert error(error_response(500, "x", account()))["type"] == "server_error"


def test_nobody_left_is_one_503_that_names_everybody_and_forbids_retries() -> None:
    tried = (Tried("acme", Kind.SERVER_ERROR, 503), Tried("local", Kind.UNAVAILABLE))
    response = unavailable(GiveUp(tried, 7.2), EVERYBODY, account())
    assert (response.status, response.headers["Retry-After"]) == (503, "8")
    assert response.headers["x-should-retry"] == "false"
    assert "acme: server_error 503; local: unavailable" in str(error(response)["message"])


def test_nobody_left_says_what_kept_the_others_out() -> None:
    plan = Plan((), MappingProxyType({"local": (Need.REQUIRED_TOOL, Need.VISION)}))
    response = unavailable(GiveUp((), 5), plan, account())
    assert "local: cannot do required_tool, vision" in str(error(response)["message"])


def test_nobody_left_is_noted_in_the_account() -> None:
    seen = account()
    tried = (Tried("acme", Kind.DNS),)
    unavailable(GiveUp(tried, 5), EVERYBODY, seen)
    assert (seen.result, seen.tried, seen.upstream, seen.model) == (Result.UNAVAILABLE, tried, None, None)


def test_all_that_is_missing_is_a_key() -> None:
    response = unavailable(GiveUp((Tried("acme", Kind.NO_KEY, 401),) * 2, 5), EVERYBODY, account())
    assert (response.status, error(response)["code"]) == (401, "invalid_api_key")


def test_missing_key_is_not_blamed_when_another_upstream_failed() -> None:
    tried = (Tried("acme", Kind.NO_KEY, 401), Tried("local", Kind.UNAVAILABLE))
    assert unavailable(GiveUp(tried, 5), EVERYBODY, account()).status == 503
