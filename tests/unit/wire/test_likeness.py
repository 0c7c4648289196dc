"""What is passed on at a glance, and what is looked at."""

import msgspec
import pytest

from proxy.wire import sse
from proxy.wire.likeness import Likeness


def text(content: str = "x") -> bytes:
    return sse.event(
        msgspec.json.encode({"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {"content": content}}]})
    )


ERROR = sse.event(b'{"error":{"message":"overloaded"}}')
LATE_ERROR = sse.event(b'{"id":"chatcmpl-1","error":{"code":502},"choices":[{"index":0,"delta":{"content":""}}]}')
BAD = [
    ERROR,
    LATE_ERROR,
    b'data: {"id":"chatcmpl-1","choices":[{"delta":{"con\n\n',
    b"data: <html>\n\n",
    b"data: null\n\n",
]


def looked() -> Likeness:
    """After a first event."""
    likeness = Likeness()
    likeness.end_of_sound(text())
    return likeness


def test_events_like_the_last_need_no_closer_look() -> None:
    assert all(looked().holds(text(content)) for content in ("y", "{", "}}", "an error"))


@pytest.mark.parametrize("bad", BAD, ids=repr)
def test_bad_event_gets_a_closer_look_and_does_not_pass_it(bad: bytes) -> None:
    likeness = looked()
    assert not likeness.holds(bad)
    assert likeness.end_of_sound(bad) == 0


@pytest.mark.parametrize("bad", BAD, ids=repr)
def test_events_before_a_bad_one_are_sound(bad: bytes) -> None:
    likeness = looked()
    block = text() + text() + bad + text()
    assert not likeness.holds(block)
    assert likeness.end_of_sound(block) == len(text() + text())


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"], ids=repr)
def test_other_line_ends_are_looked_at_each_time(end: bytes) -> None:
    block = text().replace(b"\n\n", end) * 2
    assert Likeness().end_of_sound(block) == len(block)
    assert Likeness().end_of_sound(block + b"data: {" + end) == len(block)


def test_finish_usage_and_done_are_sound() -> None:
    usage = sse.event(b'{"id":"chatcmpl-1","choices":[],"usage":{"total_tokens":3}}')
    block = usage + b": comment\n\n" + sse.event(b"[DONE]")
    assert looked().end_of_sound(block) == len(block)


def test_nothing_is_known_of_a_stream_at_first() -> None:
    assert not Likeness().holds(text())


def test_text_about_errors_is_looked_at_and_sound() -> None:
    block = text('the "error" word')
    assert looked().end_of_sound(block) == len(block)


def test_tool_call_about_errors_is_looked_at_and_sound() -> None:
    delta = {"tool_calls": [{"index": 0, "function": {"arguments": '{"error": {"code": 502}}'}}]}
    block = sse.event(msgspec.json.encode({"id": "chatcmpl-1", "choices": [{"index": 0, "delta": delta}]}))
    assert not looked().holds(block)
    assert looked().end_of_sound(block) == len(block)
