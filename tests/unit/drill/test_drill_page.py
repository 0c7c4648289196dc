"""What a drill's operator reads, and what its clients take for an answer."""

import msgspec
import pytest

from proxy.core.drill_report import End, Report, Shape
from proxy.drill import page
from proxy.drill.traffic import stream_fault, whole_fault

GOOD = b'data: {"choices":[{"delta":{"content":"x"}}]}\n\ndata: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
REPORT = Report(
    number=3,
    upstreams=("cloud",),
    model=None,
    shape=Shape.CUT,
    share=0.05,
    stated_seconds=30,
    ran_seconds=30,
    end=End.TIME,
    attempts_broken=4,
    affected=2,
    rescued=2,
    failed=0,
    left=0,
    detect_seconds=None,
    rescue_seconds=0.25,
    mean_rescue_seconds=0.5,
    longest_rescue_seconds=0.75,
    first_answer_seconds=None,
    return_seconds=0.0,
)


def but(**facts: object) -> Report:
    return msgspec.structs.replace(REPORT, **facts)


@pytest.mark.parametrize(
    ("report", "failures", "word"),
    [
        (REPORT, [], "RESCUED"),
        (REPORT, ["status 503"], "FAILED"),
        (but(failed=1), [], "FAILED"),
        (but(end=End.FAILURE), [], "FAILED"),
        (but(affected=0, rescued=0), [], "NOTHING SHOWN"),
        (but(attempts_broken=0), [], "NOTHING SHOWN"),
        (but(affected=0, rescued=0, shape=Shape.NO_DONE), [], "UNNOTICED"),
        (but(affected=0, rescued=0, shape=Shape.NO_DONE), ["a stream without [DONE]"], "FAILED"),
        (but(affected=0, rescued=0, shape=Shape.NO_DONE, attempts_broken=0), [], "NOTHING SHOWN"),
    ],
)
def test_verdict_is_good_only_if_somebody_was_affected_and_all_rescued(
    report: Report, failures: list[str], word: str
) -> None:
    assert page.verdict(report, failures).startswith(word)
    assert page.is_good(report, failures) is (word in ("RESCUED", "UNNOTICED"))


def test_opening_states_share_and_time() -> None:
    assert "for 30 s and 5 % of the requests; live traffic" in page.opening(REPORT, 0)


def test_all_who_look_dead_are_named() -> None:
    told = page.opening(but(upstreams=("cloud", "second"), model="gpt-4o"), 0)
    assert told.startswith("drill 3: cloud and second (gpt-4o only) to look dead (cut)")


@pytest.mark.parametrize(
    ("report", "says"),
    [
        (but(end=None), "not detected yet"),
        (but(end=None, detect_seconds=1.0), "; detected"),
        (but(return_seconds=None), "cloud: not back yet"),
        (REPORT, "cloud: back"),
    ],
)
def test_progress_says_where_the_drill_stands(report: Report, says: str) -> None:
    assert page.progress(report).endswith(says)


def test_what_has_not_happened_is_said_so() -> None:
    told = page.closing(but(return_seconds=None), 7, ["status 503"])
    assert [line.split("  ")[-1].strip() for line in told.splitlines() if "yet" in line or "opened" in line] == [
        "no breaker opened",
        "none yet",
        "not yet",
    ]
    assert "7 answered, 1 failed" in told


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (GOOD + DONE, ""),
        (GOOD, "a stream without [DONE]"),
        (b"", "a stream without [DONE]"),
        (DONE, "a stream without finish_reason"),
        (GOOD + b'data: {"error":{"message":"x"}}\n\n' + DONE, "a stream with an error in it"),
        (b'data: {"cho\n\n' + DONE, "an event that is no JSON"),
    ],
)
def test_stream_is_looked_at_closely(data: bytes, fault: str) -> None:
    assert stream_fault(data) == fault


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b'{"choices":[{}]}', ""),
        (b'{"error":{}}', "an answer without choices"),
        (b"<html>", "an answer that is no JSON"),
        (b"[]", "an answer that is no JSON"),
    ],
)
def test_whole_answer_is_looked_at_closely(data: bytes, fault: str) -> None:
    assert whole_fault(data) == fault
