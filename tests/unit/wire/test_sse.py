"""Where an event ends, whatever the line ends are."""

import pytest

from proxy.wire import sse

LINE_ENDS = pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])


@LINE_ENDS
def test_whole_events_come_out_and_half_of_one_stays(newline: bytes) -> None:
    reader = sse.EventReader()
    whole = b"data: 1" + newline * 2 + b"event: x" + newline + b"data: 2" + newline * 2
    assert reader.feed(whole + b"data: 3" + newline) == whole
    assert reader.rest == b"data: 3" + newline


@LINE_ENDS
def test_payloads_are_read_whatever_the_line_ends_are(newline: bytes) -> None:
    block = newline.join([b": ping", b"", b"id: 7", b"data: a", b"data:b", b"", b"data: c", b"", b""])
    assert list(sse.payloads(block)) == [b"a\nb", b"c"]


def test_half_event_is_completed_by_what_comes() -> None:
    reader = sse.EventReader()
    assert reader.feed(b"data: hel") == b""
    assert reader.feed(b"lo\n") == b""
    assert reader.feed(b"\ndata") == b"data: hello\n\n"
    assert reader.rest == b"data"


def test_events_behind_half_of_one_are_not_taken_for_all() -> None:
    reader = sse.EventReader()
    assert [reader.feed(part) for part in (b"data: a", b"b\n\n", b"data: c\n\n")] == [
        b"",
        b"data: ab\n\n",
        b"data: c\n\n",
    ]
    assert reader.rest == b""


def test_blank_line_that_comes_in_two_parts_ends_the_event() -> None:
    reader = sse.EventReader()
    assert [reader.feed(part) for part in (b"data: x\r\n\r", b"\n")] == [b"", b"data: x\r\n\r\n"]


def test_character_that_comes_in_two_parts_is_whole_again() -> None:
    reader, event = sse.EventReader(), "data: 例\n\n".encode()
    assert reader.feed(event[:7]) == b""
    assert reader.feed(event[7:]) == event


@pytest.mark.parametrize(("data", "is_overfull"), [(b"x" * 9, True), (b"x" * 8, False), (b"x" * 8 + b"\n\nx", False)])
def test_event_that_goes_on_for_too_long_is_noticed(
    data: bytes, is_overfull: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 8)
    reader = sse.EventReader()
    reader.feed(data)
    assert reader.is_overfull is is_overfull


def test_bytes_that_make_whole_events_are_not_copied() -> None:
    event = b"data: x\n\n"
    assert sse.EventReader().feed(event) is event


@pytest.mark.parametrize(
    ("data", "end"),
    [(b"", 0), (b"data: x", 0), (b"data: x\n", 0), (b"\n\n", 2), (b"a\n\nb\n\nc", 6), (b"a\r\n\r\nb", 5)],
)
def test_end_is_behind_the_last_blank_line(data: bytes, end: int) -> None:
    assert sse.end_of_last_event(data) == end


def test_one_space_after_the_colon_belongs_to_the_field() -> None:
    assert list(sse.payloads(b"data:  x\n\n")) == [b" x"]


def test_event_without_data_yields_nothing() -> None:
    assert list(sse.payloads(b": ping\n\nevent: ping\n\nretry: 3000\n\n")) == []


@pytest.mark.parametrize(
    ("block", "is_keep_alive"),
    [
        (b": ping\n\n", True),
        (b":\r\n\r\n: ping\r\n\r\n", True),
        (b": ping\n\ndata: x\n\n", False),
        (b": ping\r\rdata: x\r\r", False),
        (b"data: x\n\n", False),
        (b"data: x\n\n: ping\n\n", False),
    ],
)
def test_only_comments_are_a_keep_alive(block: bytes, is_keep_alive: bool) -> None:
    assert sse.is_only_comments(block) is is_keep_alive


def test_event_reads_back() -> None:
    assert list(sse.payloads(sse.event(b'{"a": 1}'))) == [b'{"a": 1}']
