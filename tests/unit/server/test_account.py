"""What is told about a request, to the client and to operators."""

import pytest

from proxy.core.action import Tried
from proxy.core.outcome import Kind
from proxy.server.account import Account
from proxy.telemetry.events import Endpoint, Result


def account(**facts: object) -> Account:
    opened = Account("req-1", Endpoint.CHAT, "POST", started_at=100.0)
    for name, value in facts.items():
        setattr(opened, name, value)
    return opened


def said(account: Account) -> dict[str, str]:
    """Its header lines, read."""
    lines = account.lines().decode("ascii").removesuffix("\r\n").split("\r\n")
    return {name: value for name, _, value in (line.partition(": ") for line in lines)}


def test_lines_of_an_answer_by_the_first_choice() -> None:
    assert said(account(upstream="acme", model="gpt-5", attempts=1)) == {
        "Via": "1.1 hotspare",
        "x-hotspare-request-id": "req-1",
        "x-hotspare-upstream": "acme",
        "x-hotspare-attempts": "1",
        "x-hotspare-model": "gpt-5",
    }


def test_lines_say_why_it_was_not_the_first_choice_and_what_was_lost() -> None:
    tried = (Tried("acme", Kind.SERVER_ERROR, 503), Tried("zeus", Kind.BREAKER_OPEN))
    fields = said(account(upstream="local", tried=tried, losses=("logprobs", "tools")))
    assert fields["x-hotspare-reason"] == "acme: server_error 503; zeus: breaker_open"
    assert fields["x-hotspare-degraded"] == "logprobs, tools"


def test_lines_say_that_nobody_answered() -> None:
    assert said(account())["x-hotspare-upstream"] == "none"


def test_lines_of_one_request_are_not_anothers() -> None:
    first, second = account(upstream="acme"), account(upstream="acme")
    second.request_id = "req-2"
    assert (said(first)["x-hotspare-request-id"], said(second)["x-hotspare-request-id"]) == ("req-1", "req-2")


@pytest.mark.parametrize("model", ["модель", "m\r\nSet-Cookie: a=b", "m\x00\x7f", "m\ud800", "模型-1"])
def test_lines_are_visible_ascii_whatever_the_client_calls_the_model(model: str) -> None:
    value = said(account(model=model))["x-hotspare-model"]
    assert len(value) == len(model)
    assert all(" " <= character <= "~" for character in value)


def test_long_model_name_is_cut_short() -> None:
    assert len(said(account(model="x" * 100_000))["x-hotspare-model"]) == 1024


def test_closed_account_is_one_event_with_durations() -> None:
    event = account(upstream="acme", first_content_at=101.5, result=Result.BROKEN_OFF).closed(200, now=104.0)
    assert (event.seconds, event.first_content_seconds) == (4.0, 1.5)
    assert (event.status, event.result, event.upstream) == (200, Result.BROKEN_OFF, "acme")


def test_request_without_content_has_no_time_to_it() -> None:
    assert account().closed(503, now=101.0).first_content_seconds is None
