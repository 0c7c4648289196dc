"""The answer's fields, and the one error when nobody is left."""

import json
from types import MappingProxyType

from proxy.core.action import GiveUp, Tried
from proxy.core.candidates import Need, Plan
from proxy.core.outcome import Kind
from proxy.errors import RequestInvalid
from proxy.server.account import Account
from proxy.server.response import OwnAnswer, answer_fields, answer_lines, error_answer, refusal, unavailable
from proxy.telemetry.events import Endpoint, Result
from tests.unit.stand_ins import response_head

EVERYBODY = Plan((), MappingProxyType({}))


def account() -> Account:
    return Account("req-1", Endpoint.CHAT, "POST", started_at=0.0, upstream="acme", model="gpt-5")


def error(answer: OwnAnswer) -> dict[str, object]:
    found: dict[str, object] = json.loads(answer.body)["error"]
    return found


def lines(*pairs: tuple[bytes, bytes]) -> list[bytes]:
    """The header lines of an answer whose upstream sent these fields."""
    fields = [(name.decode(), value.decode("utf-8", "surrogateescape")) for name, value in pairs]
    *found, rest = answer_lines(response_head(fields=fields), account()).split(b"\r\n")
    assert rest == b""
    assert all(found), "an empty line would be the end of the head"
    return found


def names(*pairs: tuple[bytes, bytes]) -> list[bytes]:
    return [line.partition(b":")[0].lower() for line in lines(*pairs)]


def test_upstreams_fields_pass_as_they_came_and_ours_are_added() -> None:
    passed = [
        (b"X-RateLimit-Remaining", b"9"),
        (b"Set-Cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"X-A", b"\xc3\xa9\xff"),
    ]
    found = lines(*passed)
    assert found[:4] == [b"X-RateLimit-Remaining: 9", b"Set-Cookie: a=1", b"set-cookie: b=2", b"X-A: \xc3\xa9\xff"]
    assert {b"x-hotspare-upstream: acme", b"Via: 1.1 hotspare"} <= set(found[4:])


def test_framing_of_the_upstreams_connection_does_not_pass() -> None:
    framing = [(b"Content-Length", b"5"), (b"Transfer-Encoding", b"chunked"), (b"Keep-Alive", b"timeout=5")]
    hop = [(b"Connection", b"close, x-a"), (b"X-A", b"1"), (b"connection", b"X-B"), (b"X-B", b"1"), (b"Via", b"1.1 x")]
    found = names(*framing, *hop)
    assert {b"content-length", b"transfer-encoding", b"keep-alive", b"connection", b"x-a", b"x-b"}.isdisjoint(found)
    assert found.count(b"via") == 1


def test_request_id_of_the_upstream_is_kept() -> None:
    assert [line for line in lines((b"X-Request-ID", b"req_cloud")) if b"req_cloud" in line] == [
        b"X-Request-ID: req_cloud"
    ]
    assert names((b"X-Request-ID", b"req_cloud")).count(b"x-request-id") == 1
    assert b"x-request-id: req-1" in lines()


def test_upstream_cannot_say_who_answered() -> None:
    forged = [(b"X-Hotspare-Upstream", b"forged"), (b"x-hotspare-upstream", b"twice")]
    assert [line for line in lines(*forged) if b"upstream" in line.lower()] == [b"x-hotspare-upstream: acme"]


def test_server_and_date_are_the_upstreams_where_it_has_them() -> None:
    assert (names().count(b"server"), names().count(b"date")) == (1, 1)
    found = lines((b"Server", b"y"), (b"DATE", b"z"))
    assert [line for line in found if line[:4].lower() in (b"serv", b"date")] == [b"Server: y", b"DATE: z"]


def test_fields_for_aiohttp_say_the_same() -> None:
    fields = answer_fields([("X-A", "é\udcff"), ("x-a", "2"), ("Connection", "close")], account())
    assert (fields.getall("x-a"), fields["x-hotspare-upstream"]) == (["é\udcff", "2"], "acme")
    assert "connection" not in fields


def test_refusal_says_which_parameter_and_why() -> None:
    answer = refusal(RequestInvalid("x", status=413, param="model", code="too_large"), account())
    assert (answer.status, error(answer)) == (
        413,
        {"message": "x", "type": "invalid_request_error", "param": "model", "code": "too_large"},
    )


def test_lines_of_an_answer_of_ours_are_its_fields() -> None:
    answer = error_answer(500, "x", account())
    found = [line.partition(b": ") for line in answer.lines().removesuffix(b"\r\n").split(b"\r\n")]
    assert [(name.decode(), value.decode()) for name, _, value in found] == list(answer.fields.items())


def test_error_has_its_type_by_whose_fault_it_is() -> None:
    assert error(error_answer(404, "x", account()))["type"] == "invalid_request_error"
    assert error(error_answer(500, "x", account()))["type"] == "server_error"


def test_nobody_left_is_one_503_that_names_everybody_and_forbids_retries() -> None:
    tried = (Tried("acme", Kind.SERVER_ERROR, 503), Tried("local", Kind.UNAVAILABLE))
    answer = unavailable(GiveUp(tried, 7.2), EVERYBODY, account())
    assert (answer.status, answer.fields["Retry-After"]) == (503, "8")
    assert answer.fields["x-should-retry"] == "false"
    assert "acme: server_error 503; local: unavailable" in str(error(answer)["message"])


def test_nobody_left_says_what_kept_the_others_out() -> None:
    plan = Plan((), MappingProxyType({"local": (Need.REQUIRED_TOOL, Need.VISION)}))
    answer = unavailable(GiveUp((), 5), plan, account())
    assert "local: cannot do required_tool, vision" in str(error(answer)["message"])


def test_nobody_left_is_noted_in_the_account() -> None:
    seen = account()
    tried = (Tried("acme", Kind.DNS),)
    unavailable(GiveUp(tried, 5), EVERYBODY, seen)
    assert (seen.result, seen.tried, seen.upstream, seen.model) == (Result.UNAVAILABLE, tried, None, None)


def test_all_that_is_missing_is_a_key() -> None:
    answer = unavailable(GiveUp((Tried("acme", Kind.NO_KEY, 401),) * 2, 5), EVERYBODY, account())
    assert (answer.status, error(answer)["code"]) == (401, "invalid_api_key")


def test_missing_key_is_not_blamed_when_another_upstream_failed() -> None:
    tried = (Tried("acme", Kind.NO_KEY, 401), Tried("local", Kind.UNAVAILABLE))
    assert unavailable(GiveUp(tried, 5), EVERYBODY, account()).status == 503
