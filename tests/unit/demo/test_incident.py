"""The incident is read from what the proxy counts."""

from proxy.core.action import Tried
from proxy.core.outcome import OK, Kind, Outcome
from proxy.demo.incident import Attempts, Incident, count_requests, incident
from proxy.telemetry.events import AttemptEnded, Endpoint, RequestEnded, Result
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.tally import Snapshot


def attempt(upstream: str, number: int, outcome: Outcome) -> AttemptEnded:
    return AttemptEnded("r", upstream, number, outcome, 0.5, 0.1, None)


def request(result: Result, resumed_by: str | None = None) -> RequestEnded:
    tried = (Tried("cloud", Kind.CUT, None),) if resumed_by else ()
    return RequestEnded(
        request_id="r",
        client="",
        endpoint=Endpoint.CHAT,
        method="POST",
        is_stream=True,
        result=result,
        status=200,
        upstream="cloud",
        attempts=2,
        tried=tried,
        losses=(),
        seconds=1.0,
        first_content_seconds=0.1,
        resumed_by=resumed_by,
    )


def test_rescued_stream_is_two_attempts_and_no_error() -> None:
    metrics = Metrics("1")
    metrics(attempt("cloud", 1, Outcome(Kind.CUT)))
    metrics(attempt("local", 2, OK))
    metrics(request(Result.ANSWERED, resumed_by="local"))
    found = incident(metrics.snapshot())
    assert found == Incident(
        (Attempts("cloud", "cut", 1), Attempts("local", "ok", 1)), (("cloud", "local"),), {"answered": 1}
    )
    assert found.errors == 0


def test_what_was_not_answered_is_an_error() -> None:
    metrics = Metrics("1")
    for result in (Result.ANSWERED, Result.BROKEN_OFF, Result.UNAVAILABLE):
        metrics(request(result))
    assert incident(metrics.snapshot()).errors == 2
    assert count_requests(metrics.snapshot()) == 3


def test_quiet_proxy_has_no_incident() -> None:
    assert incident(Snapshot()) == Incident((), (), {})
